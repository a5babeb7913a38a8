// Writes the merged predictions of a data set, row after row, in bounded memory. Not thread-safe.
//
// Until the job is complete the predictions lie beside the output, under its name with ".partial"
// and the like behind it; the output itself appears in one step, when all rows are there.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array.h"

namespace tandem::client {

// What one model said of one row.
struct ModelPrediction {
  std::string key;
  absl::Status status;
  std::vector<Array> outputs;
};

struct Prediction {
  int64_t row = 0;
  std::string source;
  // Why there are no predictions at all: the row could not be read, or the server refused it.
  absl::Status status;
  std::vector<ModelPrediction> models;
  std::optional<Array> combined;

  // The first thing that went wrong with the row, a model's failure included.
  absl::Status FirstError() const;
};

class PredictionWriter {
 public:
  virtual ~PredictionWriter() = default;

  // Rows come in order, each once, failed ones included. INVALID_ARGUMENT: the format cannot hold
  // this row; it has been written as a failed one. Any other error: nothing more can be written.
  virtual absl::Status Write(const Prediction& prediction) = 0;

  // Makes what was written so far durable. What it returns lets a new writer go on from here.
  virtual absl::StatusOr<nlohmann::json> Checkpoint() = 0;

  // All rows are there: puts the output in its place.
  virtual absl::Status Complete() = 0;

  // The job stops before its end: leaves a readable file of what is there, and returns its name.
  // The state of the last Checkpoint stays good.
  virtual absl::StatusOr<std::string> Suspend() = 0;
};

// The writer for the output's extension: .jsonl, .csv or .npz. `state` is null for a new output, or
// what Checkpoint returned. INVALID_ARGUMENT for another extension, or where state and files do not
// agree.
absl::StatusOr<std::unique_ptr<PredictionWriter>> OpenWriter(const std::string& path,
                                                             bool named_rows,
                                                             const nlohmann::json& state);

// "UNAVAILABLE: no worker".
std::string StatusText(const absl::Status& status);

}  // namespace tandem::client
