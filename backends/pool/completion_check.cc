#include "backends/pool/completion_check.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/ipc/tensor_record.h"
#include "core/printable.h"

namespace tandem {
namespace {

constexpr uint32_t kMostStatusCode = static_cast<uint32_t>(absl::StatusCode::kUnauthenticated);

// What a model may answer. Anything else that a worker might say of itself is a failure of the
// model to clients.
absl::StatusCode ClientCode(uint32_t code) {
  switch (static_cast<absl::StatusCode>(code)) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      return static_cast<absl::StatusCode>(code);
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::StatusOr<std::string> ErrorText(const WorkerMemory& memory,
                                      const ipc::CompletionEntry& entry) {
  if (entry.record_bytes > ipc::kMaxErrorBytes) {
    return absl::InternalError(absl::StrCat("an error's text has ", entry.record_bytes, " bytes"));
  }
  const absl::StatusOr<absl::Span<const std::byte>> text =
      ipc::ArenaRange(memory.output_bytes(), entry.record_offset, entry.record_bytes);
  if (!text.ok()) return text.status();
  return Printable(std::string(reinterpret_cast<const char*>(text->data()), text->size()));
}

absl::StatusOr<std::vector<Tensor>> Outputs(const WorkerMemory& memory,
                                            const ipc::CompletionEntry& entry) {
  absl::StatusOr<std::vector<ipc::ArenaTensor>> record =
      ipc::ReadRecord(memory.output_bytes(), entry.record_offset, entry.record_bytes);
  if (!record.ok()) return record.status();
  std::vector<Tensor> outputs;
  outputs.reserve(record->size());
  for (ipc::ArenaTensor& described : *record) {
    if (described.type == DataType::kInvalid) return absl::InternalError("an output has no type");
    Tensor tensor;
    tensor.name = std::move(described.name);
    tensor.type = described.type;
    tensor.shape = std::move(described.shape);
    tensor.pieces.push_back(memory.output_bytes().subspan(described.offset, described.bytes));
    if (tensor.type == DataType::kBytes) {
      const absl::StatusOr<int64_t> count = ElementCount(tensor.shape);
      if (!count.ok()) return absl::InternalError(count.status().message());
      const absl::Status strings = CheckStrings(tensor.pieces, *count);
      if (!strings.ok()) return absl::InternalError(strings.message());
    }
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

}  // namespace

absl::StatusOr<BatchResult> CheckCompletion(WorkerMemory& memory, const ipc::CompletionEntry& entry,
                                            Duration elapsed) {
  if (entry.status_code > kMostStatusCode) {
    return absl::InternalError(absl::StrCat("there is no status ", entry.status_code));
  }
  BatchResult result;
  const int64_t limit = std::max<int64_t>(elapsed.count(), 0);
  result.compute_time = Duration(entry.compute_ns > static_cast<uint64_t>(limit)
                                     ? limit
                                     : static_cast<int64_t>(entry.compute_ns));
  result.in_parts = entry.in_parts != 0;
  const bool failed = entry.status_code != 0;
  if (entry.output_slot == ipc::kNoSlot) {
    if (!failed) return absl::InternalError("a batch succeeded without outputs");
    result.status =
        absl::Status(ClientCode(entry.status_code), "the model failed and gave no reason");
    return result;
  }
  std::shared_ptr<const void> lease = memory.Lease(entry.output_slot);
  if (lease == nullptr) {
    return absl::InternalError(absl::StrCat("output slot ", entry.output_slot, " is not free"));
  }
  if (failed) {
    const absl::StatusOr<std::string> text = ErrorText(memory, entry);
    if (!text.ok()) return text.status();
    result.status = absl::Status(ClientCode(entry.status_code), *text);
    return result;
  }
  absl::StatusOr<std::vector<Tensor>> outputs = Outputs(memory, entry);
  if (!outputs.ok()) return outputs.status();
  result.outputs = *std::move(outputs);
  result.keep_alive = std::move(lease);
  return result;
}

}  // namespace tandem
