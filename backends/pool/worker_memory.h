// The memory that the server shares with one run of a worker: control region, input arena, output
// arena. Thread-safe. Shared, not owned by one: answers lie in the output arena until the network
// has sent them, which may be long after the worker's death, and each keeps the memory by a lease.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/ipc/region_layout.h"
#include "backends/ipc/shared_memory.h"

namespace tandem {

class WorkerMemory : public std::enable_shared_from_this<WorkerMemory> {
 public:
  static absl::StatusOr<std::shared_ptr<WorkerMemory>> Create(uint32_t lanes, size_t input_bytes,
                                                              size_t output_bytes);

  const ipc::SharedMemory& control() const { return control_; }
  const ipc::SharedMemory& input() const { return input_; }
  const ipc::SharedMemory& output() const { return output_; }

  ipc::ControlRegion& region() const { return *ipc::RegionAt(control_.data()); }
  ipc::LaneRings& lane(uint32_t lane) const { return *ipc::LaneAt(control_.data(), lane); }
  // What the worker writes; mapped read-only here.
  absl::Span<const std::byte> output_bytes() const { return {output_.data(), output_.size()}; }

  // Takes an output slot that the worker has announced. When the last copy goes, the worker may use
  // the slot's place again. Null where there is no such slot, or where it is taken already.
  std::shared_ptr<const void> Lease(uint32_t slot);

 private:
  WorkerMemory(ipc::SharedMemory control, ipc::SharedMemory input, ipc::SharedMemory output);
  void Release(uint32_t slot);

  ipc::SharedMemory control_;
  ipc::SharedMemory input_;
  ipc::SharedMemory output_;
  // Slots that are taken, in memory that the worker cannot write.
  std::array<std::atomic<bool>, ipc::kOutputSlots> leased_{};
};

}  // namespace tandem
