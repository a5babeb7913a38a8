// Calls ModelInfer of any server of the Open Inference Protocol v2 as fast as asked, and measures.
//
// Requests are serialised before, replies are not parsed: little of the machine goes to the client.
// Each of its threads has a completion queue; calls are spread over the connections.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/bench/latency_histogram.h"

namespace tandem::client {

struct LoadLevel {
  // Closed loop: so many calls at a time, each followed by the next when it is answered. 0: open
  // loop.
  int concurrency = 0;
  // Open loop: calls a second, each sent when it is due, whatever is still unanswered.
  double rate = 0;
  // Gaps as of independent clients, rather than equal ones.
  bool poisson = false;
};

struct LoadOptions {
  std::string target;
  // Connections; 0: one for each four calls at a time, at most 16.
  int channels = 0;
  // Threads that take answers.
  int threads = 1;
  std::chrono::nanoseconds warm_up = std::chrono::seconds(1);
  std::chrono::nanoseconds duration = std::chrono::seconds(5);
  // How long is waited for answers that are still due at the end; then they are cancelled and count
  // as failures.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  // Within which an answer is of use. 0: at any time.
  std::chrono::nanoseconds slo{0};
};

struct LoadResult {
  LoadLevel level;
  // Calls a second that succeeded within the SLO; nothing where there is none.
  std::optional<double> within_slo_per_second;
  // Of calls that succeeded. In the closed loop those that ended within `duration`; in the open
  // loop those that were due within it, whenever they ended, from the time at which they were due,
  // so that waiting to be sent counts. Calls of the warm-up that could not be sent within it are
  // left out.
  LatencyHistogram latencies;
  // Calls a second that succeeded and ended within `duration`.
  double calls_per_second = 0;
  uint64_t failures = 0;
  // Those of them that were not answered within the time after the end that is left for it.
  uint64_t unanswered = 0;
  // Of calls that were refused with RESOURCE_EXHAUSTED, likewise. They count as failures as well.
  LatencyHistogram refusals;
  // The server's message; empty where there is no failure.
  std::string first_failure;
  // Open loop: calls that were not sent when due, since as many as possible were unanswered.
  uint64_t held_back = 0;
  // Open loop: calls that were due within `duration` and never sent, for the same reason or since
  // this process was too slow; with Poisson arrivals how many are expected. No other figure has
  // them.
  uint64_t unsent = 0;
  // No connection could be made, and nothing was sent; or calls failed for want of one, and at the
  // end there was none.
  bool server_lost = false;
  // What this process used, of one core's time, within `duration`.
  double client_cores = 0;
};

// Runs one level, and returns when its last call has ended. The requests, serialised
// ModelInferRequest messages, are sent in turn; there is at least one.
LoadResult GenerateLoad(const LoadOptions& options, const LoadLevel& level,
                        const std::vector<grpc::ByteBuffer>& requests);

}  // namespace tandem::client
