// The worker's side of the output arena: finds room for outputs, and takes it back when the server
// has released it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/ipc/arena_allocator.h"
#include "backends/ipc/region_layout.h"

namespace tandem::worker {

// A range of the arena and the slot of the release board by which the server gives it back.
struct OutputBlock {
  uint32_t slot = 0;
  // From the start of the arena; a multiple of 64.
  uint64_t offset = 0;
  std::byte* data = nullptr;
};

// Thread-safe. Borrows the arena and the board, which outlive it. All its own state is private
// memory: the server can only say "released", once for each block.
class OutputArena {
 public:
  OutputArena(absl::Span<std::byte> arena, ipc::ReleaseBoard* board);

  // Room for `bytes` bytes. Where there is none, waits for releases, for at most `max_wait`, and
  // then answers RESOURCE_EXHAUSTED; at once where the arena could never hold them. Without a wait
  // (0) also where another thread waits for room.
  absl::StatusOr<OutputBlock> Allocate(size_t bytes, std::chrono::nanoseconds max_wait);

  // To be called when a block is filled, before the server is told of it.
  void Announce(uint32_t slot);

  // Takes back a block that was never announced to the server.
  void Discard(uint32_t slot);

  size_t used() const;

 private:
  struct InUse {
    uint32_t slot;
    uint64_t offset;
  };

  bool TryAllocate(size_t bytes, OutputBlock& block);
  // Looks at up to `count` blocks, going round, and frees those that were released.
  void Sweep(size_t count);

  absl::Span<std::byte> arena_;
  ipc::ReleaseBoard* board_;

  mutable std::mutex mutex_;
  // All guarded by mutex_.
  ipc::ArenaAllocator allocator_;
  std::vector<uint32_t> free_slots_;
  std::vector<InUse> in_use_;
  size_t next_to_sweep_ = 0;
};

}  // namespace tandem::worker
