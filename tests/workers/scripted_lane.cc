#include "tests/workers/scripted_lane.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "backends/ipc/control_channel.h"
#include "backends/ipc/tensor_record.h"
#include "worker.pb.h"

namespace tandem::testing {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kNeverUsed = 2;

size_t Align(size_t bytes) {
  return (bytes + ipc::kTensorAlignment - 1) / ipc::kTensorAlignment * ipc::kTensorAlignment;
}

// Half a second of this thread's time on a CPU.
void Toil() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  const timespec begin = used;
  while ((used.tv_sec - begin.tv_sec) * 1000 + (used.tv_nsec - begin.tv_nsec) / 1000000 < 500)
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
}

[[noreturn]] void Crash() {
  // A sanitizer would make an exit of it.
  std::signal(SIGSEGV, SIG_DFL);
  std::raise(SIGSEGV);
  std::abort();
}

absl::Span<const std::byte> Bytes(const ipc::SharedMemory& memory) {
  return {memory.data(), memory.size()};
}

}  // namespace

ScriptedLane::ScriptedLane(Regions& regions, uint32_t lane, uint32_t lanes, RunBehaviour behaviour,
                           int control_fd)
    : regions_(regions),
      region_(*ipc::RegionAt(regions.control.data())),
      rings_(*ipc::LaneAt(regions.control.data(), lane)),
      first_slot_(lane * kSlots),
      slot_bytes_(regions.output.size() / (lanes * kSlots) / ipc::kTensorAlignment *
                  ipc::kTensorAlignment),
      behaviour_(std::move(behaviour)),
      control_fd_(control_fd),
      submitted_(&rings_.submit),
      completions_(&rings_.completion) {
  for (uint32_t i = 0; i < kSlots; ++i) region_.board.released[first_slot_ + i].store(kNeverUsed);
}

void ScriptedLane::Run() {
  while (true) {
    rings_.submitted.Wait([this] { return submitted_.HasEntry(); }, nullptr, milliseconds(1000));
    ipc::SubmitEntry batch;
    while (submitted_.Take(batch) == ipc::RingResult::kOk) Answer(batch);
  }
}

void ScriptedLane::Answer(const ipc::SubmitEntry& batch) {
  const std::string how = behaviour_(batch.model_handle);
  if (how == "shrink") ShrinkMemory();
  if (how == "toil") Toil();
  if (Misbehave(how)) return;
  if (how == "fail" || how == "long_error" || how == "fail_silently") {
    AnswerWithError(batch, how);
  } else {
    AnswerWithInputs(batch, how);
  }
}

// Takes the memory from under the server's mappings, if it may.
void ScriptedLane::ShrinkMemory() {
  for (const ipc::SharedMemory* memory : {&regions_.control, &regions_.input, &regions_.output}) {
    if (ftruncate(memory->fd(), 0) == 0) std::abort();
  }
}

bool ScriptedLane::Misbehave(const std::string& how) {
  if (how == "crash") Crash();
  if (how == "exit") _exit(7);
  if (how == "hang") {
    while (true) pause();
  }
  if (how == "spin") {
    for (std::atomic<int> turns{0}; true; ++turns) continue;
  }
  if (how == "corrupt_tail") {
    rings_.completion.tail.fetch_add(1000);
    region_.completed.Ring();
    return true;
  }
  if (how == "nonsense") {
    const char text[] = "\xff\xff nonsense";
    send(control_fd_, text, sizeof(text), MSG_NOSIGNAL);
    return true;
  }
  if (how == "flood") {
    worker::v1::FromWorker pong;
    pong.mutable_pong()->set_sequence(1);
    const std::string frame = pong.SerializeAsString();
    while (send(control_fd_, frame.data(), frame.size(), MSG_NOSIGNAL) >= 0) continue;
    return true;
  }
  if (how == "empty_frame") {
    send(control_fd_, "", 0, MSG_NOSIGNAL);
    return true;
  }
  if (how == "huge_frame") {
    const std::string frame(ipc::kMaxControlBytes + 1, '\0');
    send(control_fd_, frame.data(), frame.size(), MSG_NOSIGNAL);
    return true;
  }
  return false;
}

void ScriptedLane::AnswerWithError(const ipc::SubmitEntry& batch, const std::string& how) {
  ipc::CompletionEntry entry{};
  entry.batch_id = batch.batch_id;
  entry.status_code = static_cast<uint32_t>(absl::StatusCode::kInvalidArgument);
  entry.output_slot = ipc::kNoSlot;
  if (how != "fail_silently") {
    const std::string text = how == "fail" ? "the model\nrefused \x1b[1m its input \xff"
                                           : std::string(ipc::kMaxErrorBytes + 1, 'x');
    entry.output_slot = FreeSlot();
    entry.record_offset = SlotOffset(entry.output_slot);
    entry.record_bytes = static_cast<uint32_t>(text.size());
    std::memcpy(regions_.output.data() + entry.record_offset, text.data(), text.size());
  }
  Put(entry);
}

void ScriptedLane::AnswerWithInputs(const ipc::SubmitEntry& batch, const std::string& how) {
  const uint32_t slot = how == "reused_slot" ? first_slot_ : FreeSlot();
  ipc::CompletionEntry entry = Echo(batch, slot, how);
  if (how == "unknown_batch") entry.batch_id += 1'000'000;
  if (how == "bad_slot") entry.output_slot = ipc::kOutputSlots;
  if (how == "no_outputs") entry.output_slot = ipc::kNoSlot;
  if (how == "bad_status") entry.status_code = 99;
  if (how == "record_outside") entry.record_offset = regions_.output.size() - 4;
  if (how == "huge_record") entry.record_bytes = 0xffffffff;
  Put(entry);
  if (how == "twice") {
    entry.output_slot = FreeSlot();
    Put(entry);
  }
}

ipc::CompletionEntry ScriptedLane::Echo(const ipc::SubmitEntry& batch, uint32_t slot,
                                        const std::string& how) {
  const absl::StatusOr<std::vector<ipc::ArenaTensor>> inputs =
      ipc::ReadRecord(Bytes(regions_.input), batch.record_offset, batch.record_bytes);
  if (!inputs.ok()) {
    std::fprintf(stderr, "scripted worker: %s\n", inputs.status().ToString().c_str());
    std::abort();
  }
  std::vector<ipc::ArenaTensor> outputs;
  for (const ipc::ArenaTensor& input : *inputs) {
    if (input.type != DataType::kInvalid) outputs.push_back(input);
  }
  const uint64_t start = SlotOffset(slot);
  const size_t record_bytes = ipc::RecordBytes(outputs);
  uint64_t place = start + Align(record_bytes);
  for (ipc::ArenaTensor& output : outputs) {
    std::memcpy(regions_.output.data() + place, regions_.input.data() + output.offset,
                output.bytes);
    output.offset = place;
    place += Align(output.bytes);
    if (how == "tensor_outside") output.offset = regions_.output.size();
    if (how == "bad_strings") output.type = DataType::kBytes;
  }
  ipc::WriteRecord(outputs, regions_.output.data() + start);
  ipc::CompletionEntry entry{};
  entry.batch_id = batch.batch_id;
  entry.output_slot = slot;
  entry.record_offset = start;
  entry.record_bytes = static_cast<uint32_t>(record_bytes);
  // More than it took: the server believes no more than it has seen pass.
  entry.compute_ns = ~uint64_t{0};
  return entry;
}

void ScriptedLane::Put(const ipc::CompletionEntry& entry) {
  if (completions_.Put(entry) != ipc::RingResult::kOk) std::abort();
  region_.completed.Ring();
}

// Several lanes may wait here, and a bell has one waiter: so they look again soon.
uint32_t ScriptedLane::FreeSlot() {
  while (true) {
    for (uint32_t slot = first_slot_; slot < first_slot_ + kSlots; ++slot) {
      std::atomic<uint32_t>& released = region_.board.released[slot];
      if (released.load(std::memory_order_acquire) == 0) continue;
      released.store(0, std::memory_order_release);
      return slot;
    }
    region_.board.bell.Wait([] { return false; }, nullptr, milliseconds(1));
  }
}

}  // namespace tandem::testing
