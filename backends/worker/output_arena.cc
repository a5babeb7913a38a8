#include "backends/worker/output_arena.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tandem::worker {
namespace {

// Blocks looked at before each allocation. Taking them back early keeps the outputs in the same,
// warm, memory; looking at all of them each time would cost with thousands out.
constexpr size_t kRoutineSweep = 64;

constexpr size_t kAllBlocks = std::numeric_limits<size_t>::max();

}  // namespace

OutputArena::OutputArena(absl::Span<std::byte> arena, ipc::ReleaseBoard* board)
    : arena_(arena), board_(board), allocator_(arena.size()) {
  free_slots_.reserve(ipc::kOutputSlots);
  in_use_.reserve(ipc::kOutputSlots);
  for (uint32_t slot = ipc::kOutputSlots; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

absl::StatusOr<OutputBlock> OutputArena::Allocate(size_t bytes, std::chrono::nanoseconds max_wait) {
  if (bytes > allocator_.capacity()) {
    return absl::ResourceExhaustedError(absl::StrCat("the outputs take ", bytes,
                                                     " bytes, but the worker has room for ",
                                                     allocator_.capacity(), " in all"));
  }
  // Set before the lock is taken: lanes that queued behind a waiting one do not each wait again.
  const auto deadline = std::chrono::steady_clock::now() + max_wait;
  // Held while waiting: the bell takes one sleeper at a time, and the other lanes want the same
  // room. Who does not wait does not wait for that either.
  std::unique_lock lock(mutex_, std::defer_lock);
  if (max_wait.count() > 0) {
    lock.lock();
  } else if (!lock.try_lock()) {
    return absl::ResourceExhaustedError("another lane waits for room already");
  }
  Sweep(kRoutineSweep);
  OutputBlock block;
  if (TryAllocate(bytes, block)) return block;
  while (true) {
    Sweep(kAllBlocks);
    if (TryAllocate(bytes, block)) return block;
    const std::chrono::nanoseconds left = deadline - std::chrono::steady_clock::now();
    if (left.count() <= 0) break;
    const auto any_released = [this] {
      return std::any_of(in_use_.begin(), in_use_.end(), [this](const InUse& used) {
        return board_->released[used.slot].load(std::memory_order_acquire) != 0;
      });
    };
    board_->bell.Wait(any_released, nullptr, left);
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no room for ", bytes, " bytes of outputs: ", allocator_.used(), " of ",
                   allocator_.capacity(), " bytes are held by answers that are still being sent"));
}

void OutputArena::Announce(uint32_t slot) {
  // The lane that gets the block next comes after this one by way of the server, which is another
  // process. With this its acquire of the slot pairs with a release here, so that the order is
  // visible within the worker as well.
  board_->released[slot].store(0, std::memory_order_release);
}

void OutputArena::Discard(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(in_use_.begin(), in_use_.end(),
                                  [slot](const InUse& used) { return used.slot == slot; });
  if (found == in_use_.end()) return;
  allocator_.Free(found->offset);
  free_slots_.push_back(slot);
  *found = in_use_.back();
  in_use_.pop_back();
}

size_t OutputArena::used() const {
  const std::lock_guard lock(mutex_);
  return allocator_.used();
}

bool OutputArena::TryAllocate(size_t bytes, OutputBlock& block) {
  if (free_slots_.empty()) return false;
  const std::optional<uint64_t> offset = allocator_.Allocate(bytes);
  if (!offset.has_value()) return false;
  block = {free_slots_.back(), *offset, arena_.data() + *offset};
  free_slots_.pop_back();
  in_use_.push_back({block.slot, block.offset});
  // Ordered before the server can see the slot by the release of the completion ring's tail.
  board_->released[block.slot].store(0, std::memory_order_relaxed);
  return true;
}

void OutputArena::Sweep(size_t count) {
  count = std::min(count, in_use_.size());
  for (size_t looked = 0; looked < count; ++looked) {
    if (next_to_sweep_ >= in_use_.size()) next_to_sweep_ = 0;
    const InUse used = in_use_[next_to_sweep_];
    // Acquire: the server's last read of the outputs comes before what is written over them.
    if (board_->released[used.slot].load(std::memory_order_acquire) == 0) {
      ++next_to_sweep_;
      continue;
    }
    allocator_.Free(used.offset);
    free_slots_.push_back(used.slot);
    in_use_[next_to_sweep_] = in_use_.back();
    in_use_.pop_back();
  }
}

}  // namespace tandem::worker
