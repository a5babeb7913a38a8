// The models that the server knows, their versions, and which of them can answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/model_config.h"

namespace tandem {

enum class ModelState { kLoading, kReady, kUnavailable };

// "LOADING", "READY", "UNAVAILABLE".
const char* ModelStateName(ModelState state);

// "3"; "" for 0, a model of which no version could be read.
std::string VersionText(int64_t version);
// What has been learnt of a version's times on one pool (cost_model.h).
struct PoolCost {
  std::string pool;
  // A batch takes alpha + beta · rows. Of one size alone `beta` is not known: it is assumed then.
  Duration alpha{0};
  Duration beta{0};
  bool is_of_one_size = false;
  // What half, 90 % and 99 % of the latest batches did not exceed: their time over the predicted
  // one.
  double error_p50 = 1;
  double error_p90 = 1;
  double error_p99 = 1;
  uint64_t batches = 0;
};

// What became of a version's requests since the server knows it.
struct ModelTotals {
  uint64_t requests = 0;
  uint64_t failures = 0;
  // Of those that did not fail: their rows, and from arrival to answer, in the queue and in batches
  // that ran, those of a batch each with all of its time.
  uint64_t rows = 0;
  Duration succeeded{0};
  Duration queued{0};
  Duration computed{0};
  // Of those that failed, from arrival to answer.
  Duration failed{0};
  uint64_t batches = 0;
};

// One version, as it is now.
struct ModelStatus {
  std::string name;
  // 0: the model as a whole, of which no version could be read.
  int64_t version = 0;
  ModelState state = ModelState::kLoading;
  // Why it is not ready. Where it is: what else is to be known of it, as that its new files cannot
  // be loaded; mostly empty.
  std::string reason;
  // It stays only until what comes in its place is ready.
  bool is_leaving = false;
  // Config with the signature that the workers told. Null where the version could not be read at
  // all.
  std::shared_ptr<const ModelVersion> model;
  // Names of the pools where it can run now.
  std::vector<std::string> pools;
  ModelTotals totals;
  // Requests that wait.
  uint64_t queued = 0;
  // Predicted time of one row, and of each more, on the pool that is fastest with one. Zero where
  // nothing ran yet.
  Duration expected_time{0};
  Duration expected_row_time{0};
  // Of the pools that ran it. Only Router::Models tells them.
  std::vector<PoolCost> costs;
};

// A version that cannot be served, with the reason.
struct UnusableVersion {
  // 0: the model as a whole.
  int64_t version = 0;
  // A sentence for its users, without paths.
  std::string reason;
};

// What a model is to consist of from now on. Nothing: it is to go.
struct ModelUpdate {
  std::string model;
  // With handles that no version has had.
  std::vector<std::shared_ptr<const ModelVersion>> versions;
  std::vector<UnusableVersion> unusable;
  // Those that are there and that its version_policy does not name.
  std::vector<int64_t> excluded{};
};

}  // namespace tandem
