// A lane of a scripted worker: takes batches from its ring and answers them as the model's
// behaviour says. Run by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "backends/ipc/region_layout.h"
#include "backends/ipc/shared_memory.h"
#include "backends/ipc/spsc_ring.h"

namespace tandem::testing {

// The three regions of a worker, mapped.
struct Regions {
  ipc::SharedMemory control;
  ipc::SharedMemory input;
  ipc::SharedMemory output;
};

class ScriptedLane {
 public:
  // Outputs that a lane may have out at one time.
  static constexpr uint32_t kSlots = 4;

  // What a model's parameter `run` says, by handle. Called on the lane's thread.
  using RunBehaviour = std::function<std::string(uint32_t)>;

  // `regions` outlives the lane. `control_fd` is what "nonsense" misuses.
  ScriptedLane(Regions& regions, uint32_t lane, uint32_t lanes, RunBehaviour behaviour,
               int control_fd);

  // Never returns.
  void Run();

 private:
  void Answer(const ipc::SubmitEntry& batch);
  void ShrinkMemory();
  // Ways not to answer. True if `how` is one of them; then it has happened.
  bool Misbehave(const std::string& how);
  void AnswerWithError(const ipc::SubmitEntry& batch, const std::string& how);
  void AnswerWithInputs(const ipc::SubmitEntry& batch, const std::string& how);
  ipc::CompletionEntry Echo(const ipc::SubmitEntry& batch, uint32_t slot, const std::string& how);
  void Put(const ipc::CompletionEntry& entry);
  // A slot of this lane that the server does not read. Waits for one.
  uint32_t FreeSlot();
  uint64_t SlotOffset(uint32_t slot) const { return slot * slot_bytes_; }

  Regions& regions_;
  ipc::ControlRegion& region_;
  ipc::LaneRings& rings_;
  const uint32_t first_slot_;
  const uint64_t slot_bytes_;
  const RunBehaviour behaviour_;
  const int control_fd_;
  ipc::RingConsumer<ipc::SubmitRing> submitted_;
  ipc::RingProducer<ipc::CompletionRing> completions_;
};

}  // namespace tandem::testing
