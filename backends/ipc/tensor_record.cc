#include "backends/ipc/tensor_record.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tandem::ipc {
namespace {

struct RecordHeader {
  uint32_t tensor_count;
  uint32_t reserved;
};

struct TensorEntry {
  uint32_t type;
  uint32_t rank;
  int64_t dims[kMaxRank];
  uint64_t offset;
  uint64_t bytes;
  uint32_t name_bytes;
  uint32_t reserved;
};

static_assert(std::is_trivially_copyable_v<TensorEntry>);

absl::StatusOr<ArenaTensor> ReadEntry(const TensorEntry& entry, absl::Span<const std::byte> arena) {
  ArenaTensor tensor;
  tensor.type = DataTypeFromNumber(entry.type);
  if (tensor.type == DataType::kInvalid &&
      (entry.type != 0 || entry.bytes != 0 || entry.rank != 0)) {
    return absl::InternalError(absl::StrCat("a tensor has the unknown type ", entry.type));
  }
  if (entry.rank > kMaxRank) {
    return absl::InternalError(absl::StrCat("a tensor has ", entry.rank, " dimensions"));
  }
  tensor.shape.assign(entry.dims, entry.dims + entry.rank);
  if (tensor.type != DataType::kInvalid && tensor.type != DataType::kBytes) {
    const absl::StatusOr<size_t> expected = ByteSize(tensor.type, tensor.shape);
    if (!expected.ok()) return absl::InternalError(expected.status().message());
    if (*expected != entry.bytes) {
      return absl::InternalError(
          absl::StrCat("a tensor of ", *expected, " bytes claims ", entry.bytes));
    }
  } else if (tensor.type == DataType::kBytes) {
    const absl::StatusOr<int64_t> count = ElementCount(tensor.shape);
    if (!count.ok()) return absl::InternalError(count.status().message());
  }
  const absl::StatusOr<absl::Span<const std::byte>> range =
      ArenaRange(arena, entry.offset, entry.bytes);
  if (!range.ok()) return range.status();
  tensor.offset = entry.offset;
  tensor.bytes = entry.bytes;
  return tensor;
}

}  // namespace

size_t RecordBytes(absl::Span<const ArenaTensor> tensors) {
  size_t bytes = sizeof(RecordHeader) + tensors.size() * sizeof(TensorEntry);
  for (const ArenaTensor& tensor : tensors) bytes += tensor.name.size();
  return bytes;
}

void WriteRecord(absl::Span<const ArenaTensor> tensors, std::byte* to) {
  const RecordHeader header = {static_cast<uint32_t>(tensors.size()), 0};
  std::memcpy(to, &header, sizeof(header));
  to += sizeof(header);
  for (const ArenaTensor& tensor : tensors) {
    TensorEntry entry{};
    entry.type = static_cast<uint32_t>(tensor.type);
    entry.rank = static_cast<uint32_t>(tensor.shape.size());
    std::copy(tensor.shape.begin(), tensor.shape.end(), entry.dims);
    entry.offset = tensor.offset;
    entry.bytes = tensor.bytes;
    entry.name_bytes = static_cast<uint32_t>(tensor.name.size());
    std::memcpy(to, &entry, sizeof(entry));
    to += sizeof(entry);
  }
  for (const ArenaTensor& tensor : tensors) {
    std::memcpy(to, tensor.name.data(), tensor.name.size());
    to += tensor.name.size();
  }
}

absl::StatusOr<absl::Span<const std::byte>> ArenaRange(absl::Span<const std::byte> arena,
                                                       uint64_t offset, uint64_t bytes) {
  if (offset > arena.size() || bytes > arena.size() - offset) {
    return absl::InternalError("a range leaves the arena");
  }
  return arena.subspan(offset, bytes);
}

absl::StatusOr<std::vector<ArenaTensor>> ReadRecord(absl::Span<const std::byte> arena,
                                                    uint64_t offset, uint64_t bytes) {
  const absl::StatusOr<absl::Span<const std::byte>> range = ArenaRange(arena, offset, bytes);
  if (!range.ok()) return range.status();
  if (bytes < sizeof(RecordHeader) ||
      bytes > sizeof(RecordHeader) + kMaxTensors * (sizeof(TensorEntry) + kMaxTensorNameBytes)) {
    return absl::InternalError(absl::StrCat("a record has ", bytes, " bytes"));
  }
  const std::vector<std::byte> record(range->begin(), range->end());

  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof(header));
  if (header.tensor_count > kMaxTensors ||
      sizeof(header) + header.tensor_count * sizeof(TensorEntry) > record.size()) {
    return absl::InternalError(
        absl::StrCat("a record of ", bytes, " bytes claims ", header.tensor_count, " tensors"));
  }
  size_t name_at = sizeof(header) + header.tensor_count * sizeof(TensorEntry);
  std::vector<ArenaTensor> tensors;
  tensors.reserve(header.tensor_count);
  for (uint32_t i = 0; i < header.tensor_count; ++i) {
    TensorEntry entry;
    std::memcpy(&entry, record.data() + sizeof(header) + i * sizeof(TensorEntry), sizeof(entry));
    absl::StatusOr<ArenaTensor> tensor = ReadEntry(entry, arena);
    if (!tensor.ok()) return tensor.status();
    if (entry.name_bytes > kMaxTensorNameBytes || entry.name_bytes > record.size() - name_at) {
      return absl::InternalError("a tensor's name leaves its record");
    }
    tensor->name.assign(reinterpret_cast<const char*>(record.data()) + name_at, entry.name_bytes);
    name_at += entry.name_bytes;
    tensors.push_back(*std::move(tensor));
  }
  return tensors;
}

}  // namespace tandem::ipc
