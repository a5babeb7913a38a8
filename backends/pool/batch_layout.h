// Where the inputs of a batch lie in the input arena: one block with the record first, then each
// input of the whole batch, member after member, so that the worker sees one tensor. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/ipc/tensor_record.h"
#include "core/backend.h"

namespace tandem {

class BatchLayout {
 public:
  // INVALID_ARGUMENT for what no record can describe (too many tensors or dimensions, too long a
  // name).
  static absl::StatusOr<BatchLayout> Plan(const Batch& batch);

  // Bytes of the block.
  size_t bytes() const { return bytes_; }
  size_t record_bytes() const { return record_bytes_; }

  // Copies record and inputs to the block that starts at `offset` of the arena.
  void Write(const Batch& batch, uint64_t offset, std::byte* arena) const;

 private:
  // Offsets from the block's start.
  std::vector<ipc::ArenaTensor> tensors_;
  size_t record_bytes_ = 0;
  size_t bytes_ = 0;
};

}  // namespace tandem
