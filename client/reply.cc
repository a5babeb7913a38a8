#include "client/reply.h"

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

using OutputTensor = inference::ModelInferResponse::InferOutputTensor;

template <typename Raw>
absl::StatusOr<Array> Decode(const OutputTensor& tensor, const Raw& raw, uint32_t index) {
  if (index >= static_cast<uint32_t>(raw.size())) {
    return absl::InternalError(
        absl::StrCat("the reply holds no bytes for its output \"", tensor.name(), "\""));
  }
  Array array;
  array.name = tensor.name();
  array.type = ParseDataType(tensor.datatype());
  array.shape.assign(tensor.shape().begin(), tensor.shape().end());
  array.bytes = raw.Get(static_cast<int>(index));
  if (array.type == DataType::kInvalid) {
    return absl::InternalError(absl::StrCat("the reply's output \"", tensor.name(),
                                            "\" has the unknown type \"", tensor.datatype(), "\""));
  }
  const absl::Status status = CheckSize(array);
  if (!status.ok()) return absl::InternalError(absl::StrCat("the reply: ", status.message()));
  return array;
}

absl::StatusOr<ModelReply> DecodeResult(const v1::ModelResult& result,
                                        const v1::PredictResponse& response) {
  ModelReply reply{result.key(), result.model_name(), result.model_version(), absl::OkStatus(),
                   {},           result.placement()};
  if (result.status_code() != 0) {
    reply.status =
        absl::Status(static_cast<absl::StatusCode>(result.status_code()), result.status_message());
  }
  uint32_t index = result.first_raw_output();
  for (const OutputTensor& tensor : result.outputs()) {
    absl::StatusOr<Array> array = Decode(tensor, response.raw_output_contents(), index++);
    if (!array.ok()) return array.status();
    reply.outputs.push_back(*std::move(array));
  }
  return reply;
}

}  // namespace

absl::StatusOr<InferReply> DecodeInferResponse(const inference::ModelInferResponse& response) {
  InferReply reply{response.model_name(), response.model_version(), {}};
  uint32_t index = 0;
  for (const OutputTensor& tensor : response.outputs()) {
    absl::StatusOr<Array> array = Decode(tensor, response.raw_output_contents(), index++);
    if (!array.ok()) return array.status();
    reply.outputs.push_back(*std::move(array));
  }
  return reply;
}

absl::StatusOr<PredictReply> DecodePredictResponse(const v1::PredictResponse& response) {
  PredictReply reply;
  reply.id = response.id();
  reply.total_us = response.total_us();
  for (const v1::ModelResult& result : response.results()) {
    absl::StatusOr<ModelReply> decoded = DecodeResult(result, response);
    if (!decoded.ok()) return decoded.status();
    reply.models.push_back(*std::move(decoded));
  }
  if (response.has_combined()) {
    absl::StatusOr<Array> array =
        Decode(response.combined(), response.raw_output_contents(), response.combined_raw_output());
    if (!array.ok()) return array.status();
    reply.combined = *std::move(array);
  }
  return reply;
}

}  // namespace tandem::client
