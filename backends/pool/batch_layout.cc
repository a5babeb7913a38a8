#include "backends/pool/batch_layout.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

size_t Align(size_t bytes) {
  return (bytes + ipc::kTensorAlignment - 1) / ipc::kTensorAlignment * ipc::kTensorAlignment;
}

absl::Status CheckDescribable(const Batch& batch, const Tensor& tensor) {
  if (tensor.shape.size() > kMaxRank) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", batch.model, ": input ", tensor.name, " has ", tensor.shape.size(),
                     " dimensions, at most ", kMaxRank, " are possible"));
  }
  if (tensor.name.size() > kMaxTensorNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", batch.model, ": the name of an input has ", tensor.name.size(),
                     " bytes, at most ", kMaxTensorNameBytes, " are possible"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BatchLayout> BatchLayout::Plan(const Batch& batch) {
  BatchLayout layout;
  if (batch.member_inputs.empty()) return absl::InvalidArgumentError("a batch without members");
  const absl::Span<const Tensor> first = batch.member_inputs.front();
  if (first.size() > ipc::kMaxTensors) {
    return absl::InvalidArgumentError(absl::StrCat("model ", batch.model, " has ", first.size(),
                                                   " inputs, at most ", ipc::kMaxTensors,
                                                   " are possible"));
  }
  for (size_t input = 0; input < first.size(); ++input) {
    if (absl::Status status = CheckDescribable(batch, first[input]); !status.ok()) return status;
    ipc::ArenaTensor tensor;
    tensor.name = first[input].name;
    tensor.type = first[input].type;
    if (tensor.type != DataType::kInvalid) {
      tensor.shape = first[input].shape;
      if (batch.member_inputs.size() > 1 && !tensor.shape.empty()) tensor.shape[0] = batch.rows;
      for (const absl::Span<const Tensor> member : batch.member_inputs)
        tensor.bytes += member[input].byte_size();
    }
    layout.tensors_.push_back(std::move(tensor));
  }
  layout.record_bytes_ = ipc::RecordBytes(layout.tensors_);
  layout.bytes_ = Align(layout.record_bytes_);
  for (ipc::ArenaTensor& tensor : layout.tensors_) {
    tensor.offset = layout.bytes_;
    layout.bytes_ += Align(tensor.bytes);
  }
  return layout;
}

void BatchLayout::Write(const Batch& batch, uint64_t offset, std::byte* arena) const {
  std::vector<ipc::ArenaTensor> placed = tensors_;
  for (size_t input = 0; input < placed.size(); ++input) {
    placed[input].offset += offset;
    if (placed[input].type == DataType::kInvalid) continue;
    std::byte* to = arena + placed[input].offset;
    for (const absl::Span<const Tensor> member : batch.member_inputs) {
      CopyBytes(member[input], to);
      to += member[input].byte_size();
    }
  }
  ipc::WriteRecord(placed, arena + offset);
}

}  // namespace tandem
