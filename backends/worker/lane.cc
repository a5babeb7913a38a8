#include "backends/worker/lane.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/ipc/tensor_record.h"
#include "backends/worker/niceness.h"
#include "backends/worker/run_outputs.h"
#include "backends/worker/thread_time.h"

namespace tandem::worker {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// A doorbell in shared memory is never trusted to ring: a sleeping lane looks at its ring that
// often by itself.
constexpr std::chrono::seconds kLongestSleep{1};

// Of what the server asks for.
constexpr nanoseconds kLongestSpin = std::chrono::milliseconds(1);

// A lane that rests cannot end.
constexpr std::chrono::seconds kLongestRest{10};

// A run that computes for so long runs on the nicer thread: to wake that takes little beside it.
constexpr nanoseconds kHeavyRun = std::chrono::milliseconds(4);

// A run that is expected to compute for less is timed by the clock: to ask for the thread's CPU
// time takes a microsecond each time.
constexpr nanoseconds kLightRun = std::chrono::microseconds(100);

// Not the time that passes: a run that had to wait for a core shall not wait more for that.
nanoseconds CpuTimeOf(absl::FunctionRef<void()> run) {
  const nanoseconds before = CpuTimeOfThread();
  run();
  return CpuTimeOfThread() - before;
}

// Of a run that is expected to be light: what passes is no less than what it computes. One that
// took long, perhaps since it had to wait, is told to be just long enough for the next to be timed
// well.
nanoseconds CpuTimeAtMost(absl::FunctionRef<void()> run) {
  const auto before = steady_clock::now();
  run();
  return std::min<nanoseconds>(steady_clock::now() - before, 2 * kLightRun);
}

// The length of the text, cut at a UTF-8 character's start where it is too long.
size_t TextBytes(absl::string_view text) {
  size_t bytes = std::min(text.size(), ipc::kMaxErrorBytes);
  if (bytes == text.size()) return bytes;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return bytes;
}

}  // namespace

Lane::Lane(uint32_t index, ipc::LaneRings* rings, const LaneSurroundings& surroundings)
    : index_(index),
      rings_(rings),
      surroundings_(surroundings),
      submitted_(&rings->submit),
      completed_(&rings->completion),
      thread_([this] { Loop(); }) {}

Lane::~Lane() {
  stopping_.store(true);
  rings_->submitted.Ring();
  thread_.join();
}

void Lane::Loop() {
  pthread_setname_np(pthread_self(),
                     absl::StrCat(is_express() ? "express-" : "lane-", index_).c_str());
  if (!is_express()) MakeThreadNice(surroundings_.nice);
  while (AwaitEntry()) {
    ipc::SubmitEntry entry;
    const ipc::RingResult taken = submitted_.Take(entry);
    if (taken == ipc::RingResult::kEmpty) continue;
    if (taken == ipc::RingResult::kCorrupt) {
      surroundings_.on_broken(absl::InternalError("the ring of submissions is corrupt"));
      return;
    }
    spin_.SetLongest(std::min(nanoseconds(entry.spin_ns), kLongestSpin));
    ipc::CompletionEntry completion{};
    completion.batch_id = entry.batch_id;
    completion.output_slot = ipc::kNoSlot;
    const absl::Status status = RunEntry(entry, completion);
    if (!status.ok()) AttachError(status, completion);
    // There is always room: the server submits no more than the ring holds before it takes
    // completions out.
    if (completed_.Put(completion) != ipc::RingResult::kOk) {
      surroundings_.on_broken(absl::InternalError("the ring of completions is full or corrupt"));
      return;
    }
    surroundings_.region->completed.Ring();
    Rest(nanoseconds(completion.compute_ns));
  }
}

// The answer is out already; it is the next batch that starts later, and its predicted time grows
// by that, so that the router sends less here.
void Lane::Rest(nanoseconds ran) const {
  const uint32_t share = surroundings_.cpu_share;
  if (share >= 100 || stopping_.load()) return;
  std::this_thread::sleep_for(std::min<nanoseconds>(ran * (100 - share) / share, kLongestRest));
}

bool Lane::AwaitEntry() {
  if (submitted_.HasEntry()) return true;
  const auto start = steady_clock::now();
  while (!submitted_.HasEntry()) {
    if (stopping_.load()) return submitted_.HasEntry();
    rings_->submitted.Wait([this] { return submitted_.HasEntry() || stopping_.load(); }, &spin_,
                           kLongestSleep);
  }
  spin_.Observe(steady_clock::now() - start);
  return true;
}

absl::Status Lane::RunEntry(const ipc::SubmitEntry& entry, ipc::CompletionEntry& completion) {
  const absl::Span<std::byte> arena = surroundings_.input_arena;
  const absl::StatusOr<std::vector<ipc::ArenaTensor>> tensors =
      ipc::ReadRecord(arena, entry.record_offset, entry.record_bytes);
  if (!tensors.ok()) return tensors.status();
  std::vector<InputTensor> inputs;
  inputs.reserve(tensors->size());
  for (const ipc::ArenaTensor& tensor : *tensors) {
    inputs.push_back({tensor.type, tensor.shape, arena.data() + tensor.offset, tensor.bytes});
  }
  const ModelTable::Use model = surroundings_.models->Acquire(entry.model_handle);
  if (model.executor() == nullptr) {
    return absl::NotFoundError("the model is not loaded in this worker");
  }
  RunOutputs outputs(*surroundings_.outputs);
  absl::Status status;
  RunNicely(model, entry.rows, status, [&] {
    const auto start = steady_clock::now();
    status = model.executor()->Run(index_, inputs, outputs);
    completion.compute_ns = static_cast<uint64_t>(nanoseconds(steady_clock::now() - start).count());
  });
  completion.in_parts = outputs.in_parts() ? 1 : 0;
  if (!status.ok()) return status;
  if (!outputs.allocated()) return absl::InternalError("the model returned no outputs");
  outputs.Announce(completion);
  return absl::OkStatus();
}

void Lane::RunNicely(const ModelTable::Use& model, uint32_t rows, const absl::Status& status,
                     absl::FunctionRef<void()> run) {
  if (is_express() || surroundings_.heavy_nice <= surroundings_.nice) return run();
  // Zero before the first run.
  const nanoseconds expected = model.Expect(rows);
  const bool is_light = expected > nanoseconds(0) && expected < kLightRun;
  nanoseconds time{0};
  if (is_light) {
    time = CpuTimeAtMost(run);
  } else if (expected < kHeavyRun || !StartHeavyThread()) {
    time = CpuTimeOf(run);
  } else {
    heavy_thread_->Run([&] { time = CpuTimeOf(run); });
  }
  // What was refused at once tells nothing of the next batch.
  if (status.ok()) model.Note(rows, time);
}

bool Lane::StartHeavyThread() {
  if (heavy_thread_.has_value()) return true;
  try {
    heavy_thread_.emplace(absl::StrCat("heavy-", index_), surroundings_.heavy_nice);
  } catch (const std::system_error&) {
    // The system gives no thread at present.
    return false;
  }
  return true;
}

void Lane::AttachError(const absl::Status& status, ipc::CompletionEntry& completion) {
  completion.status_code = static_cast<uint32_t>(status.code());
  const size_t bytes = TextBytes(status.message());
  if (bytes == 0) return;
  // Without a wait: the code alone is worth more than a text that comes late.
  const absl::StatusOr<OutputBlock> block = surroundings_.outputs->Allocate(bytes, nanoseconds(0));
  if (!block.ok()) return;
  std::memcpy(block->data, status.message().data(), bytes);
  surroundings_.outputs->Announce(block->slot);
  completion.output_slot = block->slot;
  completion.record_offset = block->offset;
  completion.record_bytes = static_cast<uint32_t>(bytes);
}

}  // namespace tandem::worker
