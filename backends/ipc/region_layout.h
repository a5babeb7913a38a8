// What lies where in the control region, the memory through which a server and one worker exchange
// batches. The prose is in docs/worker_protocol.md; a change here is a change of kProtocolVersion.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "backends/ipc/doorbell.h"
#include "backends/ipc/spsc_ring.h"

namespace tandem::ipc {

inline constexpr uint32_t kProtocolVersion = 4;

// Most lanes of one worker, entries of one ring, and outputs that a worker has out at one time.
inline constexpr uint32_t kMaxLanes = 256;
inline constexpr uint32_t kRingCapacity = 16;
inline constexpr uint32_t kOutputSlots = 4096;

// Server to worker: run a batch. Its tensors are described by a record (tensor_record.h) in the
// input arena.
struct SubmitEntry {
  uint64_t batch_id;
  uint32_t model_handle;
  uint32_t rows;
  uint64_t record_offset;
  uint32_t record_bytes;
  // How long the lane looks for the next entry after this one, at most, before it sleeps.
  uint32_t spin_ns;
};

// Worker to server: a batch has run. On success the record in the output arena describes the
// outputs; otherwise it holds the error's text (UTF-8, at most kMaxErrorBytes).
struct CompletionEntry {
  uint64_t batch_id;
  // absl::StatusCode.
  uint32_t status_code;
  // Place on the release board by which the server gives the record and its tensors back. kNoSlot:
  // nothing to give back, and no record.
  uint32_t output_slot;
  uint64_t record_offset;
  uint32_t record_bytes;
  // 1: the batch was too much for the memory, and was run in parts.
  uint32_t in_parts;
  // Time that the model ran, in nanoseconds.
  uint64_t compute_ns;
};

inline constexpr uint32_t kNoSlot = 0xffffffff;
inline constexpr size_t kMaxErrorBytes = 4096;

using SubmitRing = SpscRing<SubmitEntry, kRingCapacity>;
using CompletionRing = SpscRing<CompletionEntry, kRingCapacity>;

struct LaneRings {
  SubmitRing submit;
  CompletionRing completion;
  // The lane sleeps here.
  alignas(64) Doorbell submitted;
};

// The release board: the server writes 1 to a slot when nobody reads that slot's outputs any more;
// the worker, which had set it to 0 before it announced the outputs, finds it when it next looks
// for room. No queue, so it never fills up, and any thread of the server can release.
struct ReleaseBoard {
  std::atomic<uint32_t> released[kOutputSlots];
  // Rung at each release; a worker that found no room sleeps here. One thread at a time.
  alignas(64) Doorbell bell;
};

// The region: this, followed by a LaneRings for each lane.
struct ControlRegion {
  // The server's one completion thread for this worker sleeps here.
  alignas(64) Doorbell completed;
  ReleaseBoard board;
};

// Bytes of a region for so many lanes.
size_t ControlRegionBytes(uint32_t lanes);

// The parts of a mapped, zeroed region.
ControlRegion* RegionAt(std::byte* base);
LaneRings* LaneAt(std::byte* base, uint32_t lane);

}  // namespace tandem::ipc
