// One setting of a model, tried out: a server of its own with that model alone, under a closed
// loop. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "client/inference_client.h"
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

// The server of the trial that runs, for whom the trials are ended early. Thread-safe.
class TrialServer {
 public:
  TrialServer() = default;
  ~TrialServer() { Leave(); }
  TrialServer(const TrialServer&) = delete;
  TrialServer& operator=(const TrialServer&) = delete;

  // Calls `start` with what it has to call with the number of the server's process, as soon as
  // there is one. That process is the trial's server until Leave; it may have ended meanwhile.
  void Enter(const std::function<void(std::function<void(pid_t)>)>& start);
  void Leave();

  // Asks the server to end and waits for that, at most so long. Enter and Leave never return from
  // then on, so that no other trial begins: the process is about to end.
  void EndForGood(std::chrono::milliseconds grace);

 private:
  std::mutex mutex_;
  // It stays this process's, even if the number were given to another one.
  int pidfd_ ABSL_GUARDED_BY(mutex_) = -1;
};

class TuneTrials {
 public:
  // `scratch` is an empty folder that may be written to, on the disk of `model_folder` if that is
  // to be cheap. INVALID_ARGUMENT where the model cannot be brought there.
  // `server` outlives what is returned.
  static absl::StatusOr<TuneTrials> Prepare(const std::string& model_folder,
                                            const std::string& scratch, TuneLoad load,
                                            TrialServer& server);

  // The trial's failure tells where the setting does not work, and not why the next would not.
  // INVALID_ARGUMENT where no request can be made for the model, whatever the setting: a size that
  // it leaves open is missing or wrong.
  absl::StatusOr<TuneTrial> Run(const std::string& config, const TuneSetting& setting);

 private:
  TuneTrials(std::string scratch, TuneLoad load, TrialServer& server)
      : scratch_(std::move(scratch)), load_(std::move(load)), server_(&server) {}
  // What fails is written into `trial`; an error ends all trials.
  absl::Status RunOn(const std::string& target, TuneTrial& trial) const;
  absl::Status Measure(const std::string& target, const InferCall& call, TuneTrial& trial) const;

  std::string scratch_;
  TuneLoad load_;
  TrialServer* server_;
};

}  // namespace tandem::client
