// Whether the server wants requests: not before each pool can run its models, not while it drains,
// and not while all workers that could run some model are down. Thread-safe. Borrows the router,
// which outlives it.
#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "router/router.h"

namespace tandem::server {

class ServingState {
 public:
  explicit ServingState(const Router& router) : router_(router) {}

  // All workers have started once; the router has had all models before.
  void AllWorkersStarted() { started_.store(true, std::memory_order_release); }
  // The server will end; it takes no new requests.
  void StartDrain() { draining_.store(true, std::memory_order_release); }

  bool draining() const { return draining_.load(std::memory_order_acquire); }
  // What a request is told that comes too late. OK before.
  absl::Status accepts() const {
    if (!draining()) return absl::OkStatus();
    return absl::UnavailableError("the server is shutting down; try another one");
  }
  // Each pool has been able to run its models. From then on one that is away does no harm where
  // another runs what it ran.
  bool settled() const {
    if (settled_.load(std::memory_order_acquire)) return true;
    if (!router_.AllModelsSettled()) return false;
    settled_.store(true, std::memory_order_release);
    return true;
  }
  bool ready() const {
    return started_.load(std::memory_order_acquire) && !draining() && settled() &&
           router_.AllModelsHaveLanes();
  }

 private:
  const Router& router_;
  mutable std::atomic<bool> settled_{false};
  std::atomic<bool> started_{false};
  std::atomic<bool> draining_{false};
};

}  // namespace tandem::server
