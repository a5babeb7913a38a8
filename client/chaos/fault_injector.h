// Causes the faults of a plan: signals to workers, and requests that have their worker misbehave.
// Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/chaos/checked_load.h"
#include "client/chaos/fault_plan.h"
#include "client/chaos/worker_deaths.h"
#include "client/inference_client.h"

namespace tandem::client {

class FaultInjector {
 public:
  // What is given outlives the injector. `server` is the process whose workers are hit: nothing
  // that is no child of it gets a signal.
  FaultInjector(InferenceClient& client, CheckedLoad& load, pid_t server)
      : client_(client), load_(load), server_(server) {}

  // False: there was no worker to hit, or the server did not say which there are.
  bool Cause(const Fault& fault);

  // Those that were sent, in order.
  const std::vector<SentSignal>& signals() const { return signals_; }
  // By that status each worker that got a signal was started again after its last one. Its being
  // ready is no proof: a server needs a moment to see the end of a process.
  bool HitWorkersAreBack(const v1::ServerStatusResponse& status) const;

 private:
  bool Signal(const Fault& fault, int number);
  std::vector<v1::WorkerStatus> ReadyWorkers();

  InferenceClient& client_;
  CheckedLoad& load_;
  const pid_t server_;
  std::vector<SentSignal> signals_;
  // By the name of each worker that got one: how often it had been started again by then.
  std::map<std::string, uint64_t> restarts_before_;
};

}  // namespace tandem::client
