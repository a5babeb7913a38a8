#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "backends/ipc/tensor_record.h"
#include "backends/pool/completion_check.h"
#include "backends/pool/worker_memory.h"
#include "tests/fuzz/targets.h"

namespace tandem::fuzz {
namespace {

constexpr size_t kArenaBytes = size_t{1} << 14;

void Require(bool holds) {
  if (!holds) std::abort();
}

// The memory as a server has it, and its output arena as the worker writes it.
struct Regions {
  Regions()
      : memory(*WorkerMemory::Create(1, kArenaBytes, kArenaBytes)),
        output(
            *ipc::SharedMemory::Map(ipc::UniqueFd(fcntl(memory->output().fd(), F_DUPFD_CLOEXEC, 0)),
                                    kArenaBytes, ipc::SharedMemory::Access::kReadWrite)) {}

  std::shared_ptr<WorkerMemory> memory;
  ipc::SharedMemory output;
};

void Run(absl::Span<const uint8_t> bytes) {
  static Regions* const regions = new Regions;
  ipc::CompletionEntry entry{};
  if (bytes.size() < sizeof(entry)) return;
  std::memcpy(&entry, bytes.data(), sizeof(entry));
  bytes.remove_prefix(sizeof(entry));
  std::memcpy(regions->output.data(), bytes.data(), std::min(bytes.size(), kArenaBytes));
  const auto result = CheckCompletion(*regions->memory, entry, std::chrono::seconds(1));
  if (!result.ok()) {
    Require(absl::IsInternal(result.status()));
    return;
  }
  Require(result->compute_time <= std::chrono::seconds(1));
  Require(result->status.ok() || result->outputs.empty());
  const auto* const begin = regions->memory->output_bytes().data();
  for (const Tensor& output : result->outputs) {
    for (const Bytes& piece : output.pieces) {
      Require(piece.data() >= begin && piece.data() + piece.size() <= begin + kArenaBytes);
    }
    Require(ElementCount(output.shape).ok());
    if (ElementSize(output.type) > 0) {
      Require(ByteSize(output.type, output.shape).value() == output.byte_size());
    }
  }
}

std::vector<uint8_t> Seed(ipc::CompletionEntry entry,
                          const std::vector<ipc::ArenaTensor>& tensors) {
  entry.record_bytes = static_cast<uint32_t>(ipc::RecordBytes(tensors));
  std::vector<uint8_t> bytes(sizeof(entry) + 1024);
  std::memcpy(bytes.data(), &entry, sizeof(entry));
  ipc::WriteRecord(tensors, reinterpret_cast<std::byte*>(bytes.data() + sizeof(entry)));
  return bytes;
}

}  // namespace

Target Completion() {
  ipc::CompletionEntry entry{};
  entry.batch_id = 7;
  entry.compute_ns = 1000;
  ipc::CompletionEntry failed = entry;
  failed.status_code = 3;
  return {
      "Completion",
      Run,
      {Seed(entry, {{"y", DataType::kFp32, {2, 3}, 512, 24}}),
       Seed(entry, {{"text", DataType::kBytes, {2}, 512, 8}, {"n", DataType::kInt64, {}, 576, 8}}),
       Seed(failed, {})}};
}

}  // namespace tandem::fuzz
