// Requests that ended two workers: each is known by a fingerprint of what it holds, and refused for
// a time. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/clock.h"
#include "core/model_config.h"
#include "core/tensor.h"

namespace tandem {

// A hash of the version and of the inputs' names, types, shapes and bytes, however they are cut
// into pieces. Equal requests have equal ones for the life of the process; it is not for files.
uint64_t FingerprintOf(const ModelVersion& model, absl::Span<const Tensor> inputs);

// What has equal fingerprints for one version, found without reading all of what differs.
bool AreEqual(absl::Span<const Tensor> a, absl::Span<const Tensor> b);

// One of them, as people see it.
struct QuarantinedRequest {
  std::string model;
  int64_t version = 0;
  uint64_t fingerprint = 0;
  // How long it is refused from now on.
  Duration left{0};
  // Requests like it that were refused.
  uint64_t refused = 0;
};

class Quarantine {
 public:
  // The most that are kept; the one that would leave first makes room.
  static constexpr size_t kMostRequests = 1000;

  // `term`: how long each is refused. 0: nothing ever is.
  explicit Quarantine(Duration term) : term_(term) {}

  // True where nothing is refused: all that is asked while no request has ended two workers.
  bool empty() const { return size() == 0; }
  // May count some whose time has passed.
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  // Refuses requests of that fingerprint from now on.
  void Add(TimePoint now, const ModelVersion& model, uint64_t fingerprint);

  // INTERNAL for a request that is refused.
  absl::Status Check(TimePoint now, const ModelVersion& model, absl::Span<const Tensor> inputs);

  // Those that are refused, the one that leaves first first.
  std::vector<QuarantinedRequest> List(TimePoint now) const;
  // Forgets all. Returns how many they were.
  size_t Clear();

 private:
  struct Entry {
    uint32_t handle = 0;
    std::string model;
    int64_t version = 0;
    uint64_t fingerprint = 0;
    TimePoint until;
    uint64_t refused = 0;
  };

  // With mutex_ held.
  void Forget(TimePoint now);
  void CountLocked() { size_.store(entries_.size(), std::memory_order_relaxed); }

  const Duration term_;
  std::atomic<size_t> size_{0};
  mutable std::mutex mutex_;
  // Guarded by mutex_. In the order of their end, since all have the same term.
  std::list<Entry> entries_;
};

}  // namespace tandem
