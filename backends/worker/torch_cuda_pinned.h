// A range of the process's memory that the GPU copies from and to by itself, without a copy in
// between and while the CPU does something else.
#pragma once

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tandem::worker {

// Registers the range with CUDA, and takes that back when it is destroyed, which must be before the
// memory is unmapped.
class PinnedRange {
 public:
  // The memory is taken as a whole at once. RESOURCE_EXHAUSTED where the system does not allow it;
  // copies work all the same then, but slower, and the CPU waits for them.
  static absl::StatusOr<PinnedRange> Make(absl::Span<std::byte> range);

  PinnedRange(PinnedRange&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  PinnedRange& operator=(PinnedRange&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~PinnedRange();

 private:
  explicit PinnedRange(void* data) : data_(data) {}

  void* data_;
};

}  // namespace tandem::worker
