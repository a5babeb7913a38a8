// Memory that two processes map: an unnamed, sealed memfd. No name means that nobody else can open
// it; the seals mean that neither side can shrink it under the other's feet (which would be a
// SIGBUS).
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"

namespace tandem::ipc {

// Owns one mapping. Movable; not thread-safe itself, the bytes are whatever the two sides agree on.
class SharedMemory {
 public:
  enum class Access { kReadOnly, kReadWrite };

  // Makes a region of `bytes` zeros (rounded up to whole pages), seals its size, and maps it.
  static absl::StatusOr<SharedMemory> Create(size_t bytes, Access access);

  // Maps a region that came from the other process. Refuses a descriptor that is not sealed against
  // shrinking, or whose size is not exactly `bytes` (rounded up to whole pages):
  // FAILED_PRECONDITION.
  static absl::StatusOr<SharedMemory> Map(UniqueFd fd, size_t bytes, Access access);

  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  std::byte* data() const { return data_; }
  // Whole pages.
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }

 private:
  SharedMemory(UniqueFd fd, std::byte* data, size_t size);

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tandem::ipc
