// The data path to one run of a worker: puts batches into its rings and hands out what comes back.
// Thread-safe. Shared, not owned by one: Run may be on its way through a link while the supervisor
// gives the link up.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/ipc/arena_allocator.h"
#include "backends/ipc/spsc_ring.h"
#include "backends/pool/worker_memory.h"
#include "core/backend.h"

namespace tandem {

class WorkerLink {
 public:
  struct Options {
    // For messages, as in "cpu/0".
    std::string worker;
    // LaneId of the worker's first lane, and how many it has.
    LaneId first_lane;
    uint32_t lanes = 1;
    // How long completion thread and lanes look at the rings before they sleep. 0: not at all.
    Duration spin{0};
  };
  // Told that the worker broke the protocol: on the completion thread, which reads nothing from it
  // any more, or on that of a Run that found its submission ring spoilt.
  using ViolationSink = std::function<void(const std::string&)>;

  // Starts the completion thread. `events` outlives the link. RESOURCE_EXHAUSTED where there is no
  // thread for it.
  static absl::StatusOr<std::shared_ptr<WorkerLink>> Start(Options options,
                                                           std::shared_ptr<WorkerMemory> memory,
                                                           BackendEvents& events,
                                                           ViolationSink on_violation);
  // Close() has been called.
  ~WorkerLink();

  // Backend::Run, with the lane counted within the worker.
  absl::Status Run(uint32_t lane, const Batch& batch);

  // As Backend's.
  Ended TakeEnded();
  void StopTaking();

  // Ends the completion thread and answers with `reason` and `death` every batch that has no answer
  // yet. A lane runs its batches one after the other: of each, only the first can have been run,
  // and the others get kForAnother (unless `death` is kNone). kHung: so do those that the `hung`
  // one cannot have waited for, since they ran for less than half as long; where others are left
  // beside it, it is kHungTogether for all of them. Run refuses from now on. Called once, after the
  // worker's end.
  void Close(const absl::Status& reason, WorkerDeath death,
             std::optional<uint64_t> hung = std::nullopt);

  // The batch was taken and has no answer yet.
  bool Holds(uint64_t batch_id) const;

  uint64_t input_bytes_used() const;

 private:
  WorkerLink(Options options, std::shared_ptr<WorkerMemory> memory, BackendEvents& events,
             ViolationSink on_violation);

  struct Flight {
    uint32_t lane = 0;
    // Of its block in the input arena.
    uint64_t offset = 0;
    TimePoint started{};
    // Its place in the order of submission. 0: the worker does not have it yet.
    uint64_t turn = 0;
    // It ends soon, and what follows on its end does.
    bool is_short = false;
  };
  // By batch.
  using Flights = std::unordered_map<uint64_t, Flight>;
  struct Refusal {
    uint32_t lane = 0;
    uint64_t batch_id = 0;
    absl::Status status;
  };
  struct Lane {
    ipc::RingProducer<ipc::SubmitRing> submit;
    ipc::RingConsumer<ipc::CompletionRing> completion;
    uint32_t in_flight = 0;
  };

  absl::Status Reserve(uint32_t lane, const Batch& batch, size_t bytes, uint64_t& offset);
  absl::Status Submit(uint32_t lane, const Batch& batch, uint64_t offset, size_t record_bytes);
  // Has the completion thread answer a batch that can never run.
  absl::Status Refuse(uint32_t lane, uint64_t batch_id, absl::Status status);

  void ReadCompletions();
  bool HasNews() const;
  bool HasCompletion() const;
  void DeliverRefused();
  bool DrainLanes();
  // What was violated, or OK.
  absl::Status DrainLane(uint32_t lane);
  absl::Status Complete(uint32_t lane, const ipc::CompletionEntry& entry);
  void Deliver(uint32_t lane, uint64_t batch_id, BatchResult result);
  // LanesThatMayHang, where the batch has no answer yet.
  static std::set<uint32_t> LanesOfHang(const Flights& flights, std::optional<uint64_t> hung);
  // Takes it off the list; with mutex_ held.
  void Land(Flights::iterator flight);
  // Of what has no answer, whether it is the first of its lane.
  static bool IsFirst(const Flights& flights, const Flight& flight);
  absl::Status LaneFullError() const;
  absl::Status ClosedError() const;

  const Options options_;
  const std::shared_ptr<WorkerMemory> memory_;
  BackendEvents& events_;
  const ViolationSink on_violation_;
  // Of each, `submit` and `in_flight` are guarded by mutex_ and the taking from `completion` by
  // taking_.
  std::vector<Lane> lanes_;

  // Held by the thread that takes completions, of the rings and until they are delivered.
  std::mutex taking_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  ipc::ArenaAllocator arena_;
  Flights flights_;
  std::vector<Refusal> refused_;
  uint64_t last_turn_ = 0;
  bool closed_ = false;

  std::atomic<size_t> in_flight_{0};
  // Of those, the ones that are not short.
  std::atomic<size_t> long_in_flight_{0};
  // Some thread looks for completions, so that the completion thread is not woken.
  std::atomic<bool> is_attended_{false};
  std::atomic<bool> has_refused_{false};
  std::atomic<bool> ending_{false};
  // Of the completion thread, until that has ended.
  bool violated_ = false;
  // Last, since it uses all the others.
  std::thread completion_thread_;
};

}  // namespace tandem
