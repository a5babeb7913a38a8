// What a job that was interrupted leaves beside its output (OUTPUT.progress), so that it can go on.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/dataset/prediction_job.h"

namespace tandem::client {

struct SavedProgress {
  JobProgress progress;
  // As PredictionWriter::Checkpoint gave it.
  nlohmann::json writer;
};

class ProgressFile {
 public:
  // `identity`: an object that says what the job is. Jobs with equal ones have equal predictions.
  ProgressFile(const std::string& output, nlohmann::json identity)
      : path_(output + ".progress"), identity_(std::move(identity)) {}

  // Nothing where there is no file. INVALID_ARGUMENT where it is another job's, with what differs,
  // or damaged.
  absl::StatusOr<std::optional<SavedProgress>> Load() const;
  bool Exists() const;

  // In one step, durably.
  absl::Status Save(const JobProgress& progress, const nlohmann::json& writer) const;
  void Remove() const;

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const nlohmann::json identity_;
};

}  // namespace tandem::client
