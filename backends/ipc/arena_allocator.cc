#include "backends/ipc/arena_allocator.h"

#include <algorithm>
#include <iterator>

namespace tandem::ipc {

ArenaAllocator::ArenaAllocator(size_t bytes) : capacity_(bytes / kAlignment * kAlignment) {
  if (capacity_ > 0) free_.emplace(0, capacity_);
}

std::optional<uint64_t> ArenaAllocator::Allocate(size_t bytes) {
  if (bytes > capacity_) return std::nullopt;
  const size_t size = std::max<size_t>(1, (bytes + kAlignment - 1) / kAlignment) * kAlignment;
  const auto fit = std::find_if(free_.begin(), free_.end(),
                                [size](const auto& range) { return range.second >= size; });
  if (fit == free_.end()) return std::nullopt;
  const uint64_t offset = fit->first;
  const size_t rest = fit->second - size;
  free_.erase(fit);
  if (rest > 0) free_.emplace(offset + size, rest);
  allocated_.emplace(offset, size);
  used_ += size;
  return offset;
}

bool ArenaAllocator::Free(uint64_t offset) {
  const auto found = allocated_.find(offset);
  if (found == allocated_.end()) return false;
  size_t size = found->second;
  allocated_.erase(found);
  used_ -= size;

  const auto next = free_.lower_bound(offset);
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      size += previous->second;
      free_.erase(previous);
    }
  }
  if (next != free_.end() && offset + size == next->first) {
    size += next->second;
    free_.erase(next);
  }
  free_.emplace(offset, size);
  return true;
}

}  // namespace tandem::ipc
