// Hands out ranges of an arena by offset. Its state is private memory of the side that allocates;
// the arena's bytes are never touched, so the other process cannot corrupt it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>

namespace tandem::ipc {

// First fit over free ranges that are joined when freed. Not thread-safe.
class ArenaAllocator {
 public:
  // Every offset is a multiple of it: a cache line, and enough for any vector instruction.
  static constexpr size_t kAlignment = 64;

  explicit ArenaAllocator(size_t bytes);

  // Offset of a range of at least `bytes` bytes (0 takes one unit), or nothing where no free range
  // is large enough.
  std::optional<uint64_t> Allocate(size_t bytes);

  // Gives a range back. False, and no change, where `offset` is not the start of an allocated
  // range.
  bool Free(uint64_t offset);

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }

 private:
  size_t capacity_;
  size_t used_ = 0;
  // Offset → bytes.
  std::map<uint64_t, size_t> free_;
  std::unordered_map<uint64_t, size_t> allocated_;
};

}  // namespace tandem::ipc
