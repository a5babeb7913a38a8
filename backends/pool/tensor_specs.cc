#include "backends/pool/tensor_specs.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor.h"

namespace tandem {
namespace {

absl::StatusOr<TensorSpec> FromMessage(const worker::v1::TensorSpec& message) {
  if (!IsTensorName(message.name())) {
    return absl::InternalError("a signature holds a bad name");
  }
  TensorSpec spec;
  spec.name = message.name();
  spec.type = DataTypeFromNumber(message.data_type());
  if (spec.type == DataType::kInvalid && message.data_type() != 0) {
    return absl::InternalError(
        absl::StrCat("a signature holds the unknown type ", message.data_type()));
  }
  if (static_cast<size_t>(message.dims_size()) > kMaxRank) {
    return absl::InternalError(
        absl::StrCat("a signature holds a tensor of ", message.dims_size(), " dimensions"));
  }
  for (const int64_t dim : message.dims()) {
    if (dim < -1) return absl::InternalError(absl::StrCat("a signature holds the dimension ", dim));
    spec.dims.push_back(dim);
  }
  spec.any_shape = message.any_shape();
  spec.optional = message.optional();
  return spec;
}

}  // namespace

void ToMessages(const std::vector<TensorSpec>& specs, TensorSpecMessages& messages) {
  for (const TensorSpec& spec : specs) {
    worker::v1::TensorSpec& message = *messages.Add();
    message.set_name(spec.name);
    message.set_data_type(static_cast<uint32_t>(spec.type));
    for (const int64_t dim : spec.dims) message.add_dims(dim);
    message.set_optional(spec.optional);
    message.set_any_shape(spec.any_shape);
  }
}

absl::StatusOr<std::vector<TensorSpec>> FromMessages(const TensorSpecMessages& messages) {
  if (static_cast<size_t>(messages.size()) > ipc::kMaxTensors) {
    return absl::InternalError(absl::StrCat("a signature holds ", messages.size(), " tensors"));
  }
  std::vector<TensorSpec> specs;
  for (const worker::v1::TensorSpec& message : messages) {
    absl::StatusOr<TensorSpec> spec = FromMessage(message);
    if (!spec.ok()) return spec.status();
    specs.push_back(*std::move(spec));
  }
  return specs;
}

}  // namespace tandem
