#include "backends/worker/run_outputs.h"

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/ipc/tensor_record.h"

namespace tandem::worker {
namespace {

// Answers that are being sent leave the arena within that time, or the clients are too slow to wait
// for.
constexpr std::chrono::seconds kLongestWait{1};

size_t AlignUp(size_t bytes) {
  return (bytes + ipc::kTensorAlignment - 1) / ipc::kTensorAlignment * ipc::kTensorAlignment;
}

// What a record can hold. Whether sizes fit types and shapes is for the server to check: it trusts
// no worker.
absl::Status CheckDescribable(const std::vector<OutputTensor>& outputs) {
  if (outputs.size() > ipc::kMaxTensors) {
    return absl::InternalError(absl::StrCat("the model returned ", outputs.size(),
                                            " outputs; at most ", ipc::kMaxTensors, " are taken"));
  }
  for (const OutputTensor& output : outputs) {
    if (output.name.size() > kMaxTensorNameBytes) {
      return absl::InternalError(absl::StrCat("the model returned an output whose name has ",
                                              output.name.size(), " bytes; at most ",
                                              kMaxTensorNameBytes, " are taken"));
    }
    if (output.shape.size() > kMaxRank) {
      return absl::InternalError(absl::StrCat("output ", output.name, " has ", output.shape.size(),
                                              " dimensions; at most ", kMaxRank, " are taken"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

RunOutputs::~RunOutputs() {
  if (block_.has_value()) arena_.Discard(block_->slot);
}

absl::StatusOr<std::vector<std::byte*>> RunOutputs::Allocate(std::vector<OutputTensor> outputs) {
  if (allocated()) return absl::InternalError("the outputs of a run were announced twice");
  if (absl::Status status = CheckDescribable(outputs); !status.ok()) return status;
  std::vector<ipc::ArenaTensor> tensors;
  tensors.reserve(outputs.size());
  for (OutputTensor& output : outputs) {
    tensors.push_back(
        {std::move(output.name), output.type, std::move(output.shape), 0, output.bytes});
  }
  record_bytes_ = ipc::RecordBytes(tensors);
  size_t bytes = AlignUp(record_bytes_);
  for (ipc::ArenaTensor& tensor : tensors) {
    tensor.offset = bytes;
    bytes += AlignUp(tensor.bytes);
  }
  const absl::StatusOr<OutputBlock> block = arena_.Allocate(bytes, kLongestWait);
  if (!block.ok()) return block.status();
  block_ = *block;
  std::vector<std::byte*> places;
  places.reserve(tensors.size());
  for (ipc::ArenaTensor& tensor : tensors) {
    places.push_back(block->data + tensor.offset);
    tensor.offset += block->offset;
  }
  ipc::WriteRecord(tensors, block->data);
  return places;
}

void RunOutputs::Announce(ipc::CompletionEntry& completion) {
  arena_.Announce(block_->slot);
  completion.output_slot = block_->slot;
  completion.record_offset = block_->offset;
  completion.record_bytes = static_cast<uint32_t>(record_bytes_);
  block_.reset();
}

}  // namespace tandem::worker
