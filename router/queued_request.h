// A request that has passed the checks and waits, and a batch of such requests that runs. Values
// that move between the router's parts; each has one owner at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/backend.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "core/model_config.h"
#include "core/tensor.h"
#include "router/retry_policy.h"

namespace tandem {

struct ModelEntry;

// A worker's crash while several requests ran there, or the hang of a batch of several. A suspect
// that nobody waits for any more is never tried; once all others have been and were well, it was
// one of those that were given up.
struct Crash {
  // Suspects that were neither tried nor given up.
  size_t open = 0;
  // The model of those that were given up, its handle, since its number may go to another, and
  // whether they are of several.
  std::optional<uint32_t> given_up;
  uint32_t handle = 0;
  bool is_mixed = false;
  // Whose it was: the worker, and which of its lives.
  uint32_t worker = 0;
  uint64_t generation = 0;
};

struct QueuedRequest {
  std::unique_ptr<InferRequest> request;
  ResponseCallback done;
  // Row of the model table, for its counters. Null for a request that named no known version.
  ModelEntry* entry = nullptr;
  // Shared with the table of models, which may learn a new signature while the request waits.
  std::shared_ptr<const ModelVersion> model;
  // In the model's order, as CheckRequest leaves them.
  std::vector<Tensor> inputs;
  int64_t rows = 1;
  uint64_t bytes = 0;
  // It is not to share a batch with others.
  bool alone = false;
  // The deaths of workers that it was in.
  DeathCount deaths;
  // One of them was surely for it: a crash while nothing else ran in the worker, or a hang.
  bool ended_worker = false;
  // That of which it is a suspect beside others. For the scheduler alone.
  std::shared_ptr<Crash> crash;
  // As a suspect: until then it does not run in the last worker that its pool has.
  TimePoint spared_until = kNever;
  // It came when its model's pause was over, and tells whether the model is well again.
  bool is_probe = false;
  // Order of acceptance over all models. Set by the scheduler.
  uint64_t sequence = 0;
  // From here on set by its queue. When it is to begin at the latest: what is ordered by that.
  TimePoint due = kNever;
  // From the model's configuration. The priority level.
  uint32_t level = 0;
  // Until when it may wait, and when it is to wait behind all others.
  TimePoint wait_until = kNever;
  TimePoint delay_at = kNever;
  bool delayed = false;

  TimePoint deadline() const { return request->deadline; }
  TimePoint arrival() const { return request->arrival; }
};

struct ScheduledBatch {
  // What the backend gets. Its spans point into the members' inputs.
  Batch batch;
  std::vector<std::unique_ptr<QueuedRequest>> members;
  // The scheduler's number of the model.
  uint32_t model = 0;
  LaneId lane;
  TimePoint started{};
  // Why it runs there, but for members that asked for it.
  PlacementReason reason = PlacementReason::kOnlyPool;
  // Nothing else may run in its worker: its only member is a suspect.
  bool is_trial = false;
  // What the scheduler reckoned, and by how much nine of ten batches are late at most.
  Duration predicted{0};
  Duration may_be_late{0};

  // How long it may have its lane for itself, and whether its backend watches it for that.
  Duration budget{0};
  bool is_watched = false;

  // The lane's life and the worker's count of ended batches when this one was scheduled.
  uint64_t lane_generation = 0;
  uint64_t worker_ended = 0;

  // Steps towards the end: Backend::Run has returned, and the result has come. Either may be first;
  // the second one completes the batch, because until both are done the inputs, or the result, are
  // still in use.
  std::atomic<int> steps{0};
  bool has_result = false;
  BatchResult result;
};

}  // namespace tandem
