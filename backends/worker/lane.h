// An execution thread of the worker: takes batches from its ring, runs them one after the other,
// and answers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "backends/ipc/region_layout.h"
#include "backends/worker/model_table.h"
#include "backends/worker/nicer_thread.h"
#include "backends/worker/output_arena.h"

namespace tandem::worker {

// What the lanes of a worker share. All of it outlives them.
struct LaneSurroundings {
  ipc::ControlRegion* region;
  absl::Span<std::byte> input_arena;
  OutputArena* outputs;
  ModelTable* models;
  // Percent of its time that the lane may run batches. At least 1.
  uint32_t cpu_share;
  // Lanes from this one on are express lanes.
  uint32_t first_express;
  // Niceness of the others, and of what they run that computes for long, where that is more.
  uint32_t nice;
  uint32_t heavy_nice;
  // Called, on the lane's thread, when the rings make no sense any more. The lane then ends.
  std::function<void(const absl::Status&)> on_broken;
};

// Runs from construction to destruction.
class Lane {
 public:
  Lane(uint32_t index, ipc::LaneRings* rings, const LaneSurroundings& surroundings);
  // Finishes what stands in the ring, then ends the thread.
  ~Lane();

 private:
  void Loop();
  // Waits for an entry. False where the lane is to end and the ring is empty.
  bool AwaitEntry();
  absl::Status RunEntry(const ipc::SubmitEntry& entry, ipc::CompletionEntry& completion);
  // On this thread, or where it will compute for long on the nicer one. `run` sets `status`.
  void RunNicely(const ModelTable::Use& model, uint32_t rows, const absl::Status& status,
                 absl::FunctionRef<void()> run);
  // Whether it is there; once it is, it stays.
  bool StartHeavyThread();
  bool is_express() const { return index_ >= surroundings_.first_express; }
  // Lets others have the core, so that the lane keeps to its share.
  void Rest(std::chrono::nanoseconds ran) const;
  void AttachError(const absl::Status& status, ipc::CompletionEntry& completion);

  const uint32_t index_;
  ipc::LaneRings* const rings_;
  const LaneSurroundings surroundings_;
  ipc::RingConsumer<ipc::SubmitRing> submitted_;
  ipc::RingProducer<ipc::CompletionRing> completed_;
  // As the last submission says.
  AdaptiveSpin spin_{std::chrono::nanoseconds(0)};
  // From its first batch on.
  std::optional<NicerThread> heavy_thread_;
  std::atomic<bool> stopping_{false};
  // Last: the thread uses all of the above.
  std::thread thread_;
};

}  // namespace tandem::worker
