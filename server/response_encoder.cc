#include "server/response_encoder.h"

#include <google/protobuf/arena.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/reply_writer.h"

namespace tandem::server {
namespace {

using inference::ModelInferResponse;

// All but the raw contents.
void MakeHeader(const InferResponse& response, std::string id, bool wants_placement,
                ModelInferResponse& header) {
  header.set_model_name(response.model);
  header.set_model_version(absl::StrCat(response.version));
  header.set_id(std::move(id));
  AddOutputHeaders(response.outputs, header.mutable_outputs());
  AddPlacement(response.placement, wants_placement, header.mutable_parameters());
}

}  // namespace

void AddOutputHeaders(absl::Span<const Tensor> outputs, OutputHeaders* headers) {
  for (const Tensor& tensor : outputs) {
    auto* header = headers->Add();
    header->set_name(tensor.name);
    header->set_datatype(std::string(DataTypeName(tensor.type)));
    header->mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
  }
}

void AddPlacement(const Placement& placement, bool asked, Parameters* parameters) {
  if (!asked && !IsFallback(placement.reason)) return;
  const auto add = [&](const char* name) -> inference::InferParameter& {
    return (*parameters)[name];
  };
  add("tandem_pool").set_string_param(placement.pool);
  add("tandem_device").set_string_param(placement.device);
  add("tandem_worker").set_string_param(placement.worker);
  add("tandem_batch_size").set_int64_param(placement.batch_size);
  add("tandem_queue_us").set_double_param(ToMicroseconds(placement.queue_time));
  add("tandem_compute_us").set_double_param(ToMicroseconds(placement.compute_time));
  add("spill_reason").set_string_param(std::string(PlacementReasonName(placement.reason)));
}

grpc::ByteBuffer EncodeInferResponse(const InferResponse& response, std::string id,
                                     bool wants_placement) {
  // The header of a usual reply fits, and then costs no allocation.
  alignas(8) char first_block[2048];
  google::protobuf::Arena arena(first_block, sizeof(first_block));
  auto& header = *google::protobuf::Arena::CreateMessage<ModelInferResponse>(&arena);
  MakeHeader(response, std::move(id), wants_placement, header);
  ReplyWriter writer;
  writer.AddFields(header);
  for (const Tensor& output : response.outputs) {
    writer.AddTensorBytes(ModelInferResponse::kRawOutputContentsFieldNumber, output,
                          response.keep_alive);
  }
  return std::move(writer).Finish();
}

ModelInferResponse MakeInferResponse(const InferResponse& response, std::string id,
                                     bool wants_placement) {
  ModelInferResponse message;
  MakeHeader(response, std::move(id), wants_placement, message);
  for (const Tensor& output : response.outputs) {
    std::string* bytes = message.add_raw_output_contents();
    bytes->resize(output.byte_size());
    CopyBytes(output, reinterpret_cast<std::byte*>(bytes->data()));
  }
  return message;
}

}  // namespace tandem::server
