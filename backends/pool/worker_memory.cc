#include "backends/pool/worker_memory.h"

#include <utility>

namespace tandem {

absl::StatusOr<std::shared_ptr<WorkerMemory>> WorkerMemory::Create(uint32_t lanes,
                                                                   size_t input_bytes,
                                                                   size_t output_bytes) {
  using Access = ipc::SharedMemory::Access;
  absl::StatusOr<ipc::SharedMemory> control =
      ipc::SharedMemory::Create(ipc::ControlRegionBytes(lanes), Access::kReadWrite);
  if (!control.ok()) return control.status();
  absl::StatusOr<ipc::SharedMemory> input =
      ipc::SharedMemory::Create(input_bytes, Access::kReadWrite);
  if (!input.ok()) return input.status();
  absl::StatusOr<ipc::SharedMemory> output =
      ipc::SharedMemory::Create(output_bytes, Access::kReadOnly);
  if (!output.ok()) return output.status();
  return std::shared_ptr<WorkerMemory>(
      new WorkerMemory(*std::move(control), *std::move(input), *std::move(output)));
}

WorkerMemory::WorkerMemory(ipc::SharedMemory control, ipc::SharedMemory input,
                           ipc::SharedMemory output)
    : control_(std::move(control)), input_(std::move(input)), output_(std::move(output)) {}

std::shared_ptr<const void> WorkerMemory::Lease(uint32_t slot) {
  if (slot >= ipc::kOutputSlots || leased_[slot].exchange(true)) return nullptr;
  return std::shared_ptr<const void>(
      this, [self = shared_from_this(), slot](const void*) { self->Release(slot); });
}

// Ours first: as soon as the board says released, the worker may announce the slot again.
void WorkerMemory::Release(uint32_t slot) {
  leased_[slot].store(false);
  ipc::ReleaseBoard& board = region().board;
  board.released[slot].store(1, std::memory_order_release);
  board.bell.Ring();
}

}  // namespace tandem
