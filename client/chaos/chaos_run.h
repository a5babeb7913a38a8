// A chaos run: a quiet phase, then faults, then the wait until all is as before, under one steady
// load.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/chaos/chaos_result.h"
#include "client/chaos/interruption.h"
#include "client/inference_client.h"

namespace tandem::client {

struct ServerUnderTest {
  std::string target;
  // Of this machine.
  pid_t pid = 0;
  // Its log as JSON lines. Empty: it cannot be read.
  std::string log_file;
};

struct ChaosRunOptions {
  uint64_t seed = 1;
  std::vector<FaultKind> kinds;
  // Faults and requests a second.
  double fault_rate = 0.5;
  double rate = 500;
  // A tenth of the whole is quiet.
  std::chrono::nanoseconds duration{0};
  // After it, how long workers may take to come back and the server to give back what it holds for
  // the dead. The longest back-off before a restart is 30 s.
  std::chrono::nanoseconds settle = std::chrono::seconds(60);
};

// The plan that the run follows.
std::vector<Fault> PlanOf(const ChaosRunOptions& options);

// Ends early where it is interrupted or the server dies. Fails where the server cannot be asked, or
// does not have the models.
absl::StatusOr<ChaosResult> RunChaos(const ChaosRunOptions& options, const ServerUnderTest& server,
                                     const Interruption& interruption);

// The process that serves at `target`, by its workers. FAILED_PRECONDITION: it is not on this
// machine, or has no worker.
absl::StatusOr<pid_t> FindServer(InferenceClient& client);

}  // namespace tandem::client
