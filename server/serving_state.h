// Whether the server wants requests: not before its models have loaded, not while it drains, and
// not while all workers that could run some model are down. Thread-safe. Borrows the router, which
// outlives it.
#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "router/router.h"

namespace tandem::server {

class ServingState {
 public:
  explicit ServingState(const Router& router) : router_(router) {}

  // All models have been handed to the router.
  void AllModelsAdded() { models_added_.store(true, std::memory_order_release); }
  // The server will end; it takes no new requests.
  void StartDrain() { draining_.store(true, std::memory_order_release); }

  bool draining() const { return draining_.load(std::memory_order_acquire); }
  // What a request is told that comes too late. OK before.
  absl::Status accepts() const {
    if (!draining()) return absl::OkStatus();
    return absl::UnavailableError("the server is shutting down; try another one");
  }
  bool ready() const {
    return models_added_.load(std::memory_order_acquire) && !draining() &&
           router_.AllModelsSettled() && router_.AllModelsHaveLanes();
  }

 private:
  const Router& router_;
  std::atomic<bool> models_added_{false};
  std::atomic<bool> draining_{false};
};

}  // namespace tandem::server
