// Keeps grpc.health.v1 up to date: the server as a whole under "", and each model under its name,
// which serves when one of its versions is ready. Owns a thread that looks at the router; borrows
// router, state and service, which outlive it.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "router/router.h"
#include "server/health_service.h"
#include "server/serving_state.h"

namespace tandem::server {

class HealthReporter {
 public:
  HealthReporter(const Router& router, const ServingState& state, HealthService& health);
  ~HealthReporter();

  // Looks now, so that callers of health see the present state when it returns. Thread-safe.
  void Refresh();

 private:
  void Loop();

  const Router& router_;
  const ServingState& state_;
  HealthService& health_;

  std::mutex mutex_;
  // Waits by the steady clock: Abseil's waits would last as long as the wall clock is set back.
  std::condition_variable stopped_;
  // Both guarded by mutex_.
  bool stopping_ = false;
  std::map<std::string, bool> told_;
  std::thread thread_;
};

}  // namespace tandem::server
