// How the tensors of a batch are described in an arena: one record, whose layout both processes
// know, and the tensors' bytes at the offsets that it names.
//
//   uint32 tensor_count, uint32 reserved   tensor_count × TensorEntry   the names, one after the
// other, without ends
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/data_type.h"
#include "core/shape.h"
#include "core/tensor.h"

namespace tandem::ipc {

inline constexpr size_t kMaxTensors = 1024;
// Rounded up, so that each tensor starts on a cache line.
inline constexpr size_t kTensorAlignment = 64;

// A tensor that lies in an arena.
struct ArenaTensor {
  std::string name;
  // kInvalid: an optional input that was left out; it has no shape and no bytes.
  DataType type = DataType::kInvalid;
  Shape shape;
  // From the start of the arena.
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

// Bytes of the record of those tensors.
size_t RecordBytes(absl::Span<const ArenaTensor> tensors);

// Writes the record to `to`, which has room for RecordBytes(tensors).
void WriteRecord(absl::Span<const ArenaTensor> tensors, std::byte* to);

// Reads a record that the other process wrote at [offset, offset + bytes) of an arena. The record
// is copied before it is looked at, since the other side could change it meanwhile. INTERNAL, with
// what is wrong, for a record that leaves the arena, a tensor that does, an unknown type, a bad
// shape, or a size that does not fit type and shape.
absl::StatusOr<std::vector<ArenaTensor>> ReadRecord(absl::Span<const std::byte> arena,
                                                    uint64_t offset, uint64_t bytes);

// [offset, offset + bytes) of the arena; INTERNAL where it is not inside.
absl::StatusOr<absl::Span<const std::byte>> ArenaRange(absl::Span<const std::byte> arena,
                                                       uint64_t offset, uint64_t bytes);

}  // namespace tandem::ipc
