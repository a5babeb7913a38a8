// One run of one model, asked for and answered.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "core/model_config.h"
#include "core/tensor.h"

namespace tandem {

// Which pools may run the request.
enum class PoolPreference : uint8_t { kAny, kCpu, kGpu };

struct InferRequest {
  std::string model;
  // -1: the latest that is served.
  int64_t version = -1;
  // As the client sent them, in any order.
  std::vector<Tensor> inputs;
  // Names of the outputs to return. Empty: all.
  std::vector<std::string> requested_outputs;
  PoolPreference pool = PoolPreference::kAny;
  // Level of urgency, 1 first. 0: the model's default.
  uint32_t priority = 0;
  // When the server received it, and when an answer is of no use any more.
  TimePoint arrival{};
  TimePoint deadline = kNever;
  // Set to true by the front end when the client has gone. May be null.
  std::shared_ptr<const std::atomic<bool>> cancelled;
  // Keeps the bytes of the inputs.
  std::shared_ptr<const void> keep_alive;
  // Equal for requests of one client, different for those of others. 0: it is not known.
  uint64_t client = 0;

  bool is_cancelled() const {
    return cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
  }
};

// Why a request ran on its pool.
enum class PlacementReason : uint8_t {
  // No other pool could run it.
  kOnlyPool,
  // It named the kind of pool.
  kAsked,
  // The pool runs such a batch fastest, or is the one that the model prefers.
  kFirstChoice,
  // Another pool is faster, but would have answered it later, since it is busy.
  kSooner,
  // The pool that the model prefers would have missed its deadline.
  kDeadline,
  // The pool that the model prefers is down.
  kOtherDown,
  // The pool's speed was not known yet.
  kLearning,
};

// Their names in replies, in the order of the enumerators.
inline constexpr std::array<std::string_view, 7> kPlacementReasonNames = {
    "only_pool", "asked", "first_choice", "sooner", "deadline", "other_pool_down", "learning"};

inline std::string_view PlacementReasonName(PlacementReason reason) {
  return kPlacementReasonNames[static_cast<size_t>(reason)];
}

// On another pool than the first choice: the operator's metric and the reply tell, asked or not.
constexpr bool IsFallback(PlacementReason reason) {
  return reason == PlacementReason::kSooner || reason == PlacementReason::kDeadline ||
         reason == PlacementReason::kOtherDown;
}

// Where and how a request ran.
struct Placement {
  // Pool, device ("cpu", "gpu:0") and worker ("cpu/0").
  std::string pool;
  std::string device;
  std::string worker;
  // Rows of the batch; 1 where the model has no batch dimension.
  int64_t batch_size = 0;
  // When its batch was handed to a lane, and when the answer was seen.
  TimePoint started{};
  TimePoint finished{};
  Duration queue_time{0};
  // Time in the worker.
  Duration compute_time{0};
  PlacementReason reason = PlacementReason::kOnlyPool;
};

struct InferResponse {
  absl::Status status;
  std::string model;
  int64_t version = 0;
  // In the model's order, or the order in which the request named them.
  std::vector<Tensor> outputs;
  Placement placement;
  // Keeps the bytes of the outputs.
  std::shared_ptr<const void> keep_alive;
  // What it keeps: the outputs of the whole batch, whatever of them was asked for.
  uint64_t kept_bytes = 0;
};

// Called exactly once, on any thread; must not block.
using ResponseCallback = absl::AnyInvocable<void(InferResponse) &&>;

}  // namespace tandem
