#include "backends/ipc/tensor_record.h"

#include <cstdlib>
#include <cstring>

#include "tests/fuzz/targets.h"

namespace tandem::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// The first four bytes say how long the record is; what follows is the arena.
void Run(absl::Span<const uint8_t> bytes) {
  uint32_t record_bytes = 0;
  if (bytes.size() < sizeof(record_bytes)) return;
  std::memcpy(&record_bytes, bytes.data(), sizeof(record_bytes));
  // A copy of the exact size, so that AddressSanitizer sees a read past its end.
  const std::vector<uint8_t> copy(bytes.begin() + sizeof(record_bytes), bytes.end());
  const absl::Span<const std::byte> arena(reinterpret_cast<const std::byte*>(copy.data()),
                                          copy.size());
  const auto tensors = ipc::ReadRecord(arena, 0, record_bytes);
  if (!tensors.ok()) return;
  Require(tensors->size() <= ipc::kMaxTensors);
  for (const ipc::ArenaTensor& tensor : *tensors) {
    Require(tensor.offset <= arena.size() && tensor.bytes <= arena.size() - tensor.offset);
    Require(tensor.shape.size() <= kMaxRank);
    Require(ElementCount(tensor.shape).ok());
    Require(ElementSize(tensor.type) == 0 ||
            ByteSize(tensor.type, tensor.shape).value() == tensor.bytes);
  }
}

std::vector<uint8_t> Seed(const std::vector<ipc::ArenaTensor>& tensors, size_t arena_bytes) {
  const uint32_t record_bytes = static_cast<uint32_t>(ipc::RecordBytes(tensors));
  std::vector<uint8_t> bytes(sizeof(record_bytes) + arena_bytes);
  std::memcpy(bytes.data(), &record_bytes, sizeof(record_bytes));
  ipc::WriteRecord(tensors, reinterpret_cast<std::byte*>(bytes.data() + sizeof(record_bytes)));
  return bytes;
}

}  // namespace

Target TensorRecord() {
  return {"TensorRecord",
          Run,
          {Seed({}, 8), Seed({{"x", DataType::kFp32, {2, 3}, 256, 24}}, 320),
           Seed({{"a", DataType::kInt64, {}, 512, 8}, {}, {"text", DataType::kBytes, {2}, 520, 40}},
                576)}};
}

}  // namespace tandem::fuzz
