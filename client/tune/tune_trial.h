// One setting of a model, tried out: a server of its own with that model alone, under a closed
// loop. Not thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/tune/tuning.h"
#include "core/tensor.h"

namespace tandem::client {

struct TuneLoad {
  // The programs; no worker: the one beside the server.
  std::string program;
  std::string worker_program;
  std::string model;
  // Calls at a time, each of one row.
  int concurrency = 8;
  std::chrono::nanoseconds duration = std::chrono::seconds(2);
  // Sizes that the model leaves open, by input.
  std::map<std::string, Shape> shapes;
};

class TuneTrials {
 public:
  // `scratch` is an empty folder that may be written to, on the disk of `model_folder` if that is
  // to be cheap. INVALID_ARGUMENT where the model cannot be brought there.
  static absl::StatusOr<TuneTrials> Prepare(const std::string& model_folder,
                                            const std::string& scratch, TuneLoad load);

  // Its failure tells where the setting does not work, and not why the next would not.
  TuneTrial Run(const std::string& config, const TuneSetting& setting);

 private:
  TuneTrials(std::string scratch, TuneLoad load)
      : scratch_(std::move(scratch)), load_(std::move(load)) {}
  absl::Status Measure(const std::string& target, TuneTrial& trial) const;

  std::string scratch_;
  TuneLoad load_;
};

}  // namespace tandem::client
