#include "server/predict_encoder.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/reply_writer.h"
#include "server/response_encoder.h"
#include "tandem.pb.h"

namespace tandem::server {
namespace {

using v1::PredictResponse;
using v1::PredictStreamResponse;

double SinceArrival(TimePoint time, TimePoint arrival) {
  return time == TimePoint{} ? 0 : ToMicroseconds(time - arrival);
}

void FillPlacement(const Placement& placement, TimePoint arrival, v1::Placement* message) {
  message->set_pool(placement.pool);
  message->set_device(placement.device);
  message->set_worker(placement.worker);
  message->set_batch_size(static_cast<uint32_t>(placement.batch_size));
  message->set_queue_us(ToMicroseconds(placement.queue_time));
  message->set_compute_us(ToMicroseconds(placement.compute_time));
  message->set_spill_reason(std::string(PlacementReasonName(placement.reason)));
  message->set_start_us(SinceArrival(placement.started, arrival));
  message->set_end_us(SinceArrival(placement.finished, arrival));
}

void FillResult(const MergedResult& result, TimePoint arrival, uint32_t first_raw_output,
                v1::ModelResult* message) {
  const InferResponse& response = result.response;
  message->set_key(result.key);
  message->set_model_name(response.model);
  if (response.version > 0) message->set_model_version(absl::StrCat(response.version));
  message->set_status_code(static_cast<int32_t>(response.status.code()));
  message->set_status_message(std::string(response.status.message()));
  message->set_first_raw_output(first_raw_output);
  AddOutputHeaders(response.outputs, message->mutable_outputs());
  // Empty where it never ran.
  if (!response.placement.pool.empty()) {
    FillPlacement(response.placement, arrival, message->mutable_placement());
  }
}

// All but the raw contents.
PredictResponse MakeHeader(const MergedPredict& merged) {
  PredictResponse header;
  header.set_id(merged.id);
  header.set_total_us(ToMicroseconds(merged.total_time));
  uint32_t raw_output = 0;
  for (const MergedResult& result : merged.results) {
    FillResult(result, merged.arrival, raw_output, header.add_results());
    raw_output += static_cast<uint32_t>(result.response.outputs.size());
  }
  if (merged.combined != nullptr) {
    OutputHeaders headers;
    AddOutputHeaders({&merged.combined->tensor, 1}, &headers);
    *header.mutable_combined() = std::move(headers[0]);
    header.set_combined_raw_output(raw_output);
  }
  return header;
}

// Calls `visit` with each tensor of the reply, in the order of the raw contents, and what keeps its
// bytes.
template <typename Visit>
void ForEachTensor(const MergedPredict& merged, const Visit& visit) {
  for (const MergedResult& result : merged.results) {
    for (const Tensor& output : result.response.outputs) {
      visit(output, result.response.keep_alive);
    }
  }
  if (merged.combined != nullptr) {
    visit(merged.combined->tensor, std::shared_ptr<const void>(merged.combined));
  }
}

void AddTensors(const MergedPredict& merged, ReplyWriter* writer) {
  ForEachTensor(merged, [&](const Tensor& tensor, const std::shared_ptr<const void>& keep_alive) {
    writer->AddTensorBytes(PredictResponse::kRawOutputContentsFieldNumber, tensor, keep_alive);
  });
}

}  // namespace

grpc::ByteBuffer EncodePredictResponse(const MergedPredict& merged) {
  ReplyWriter writer;
  writer.AddFields(MakeHeader(merged));
  AddTensors(merged, &writer);
  return std::move(writer).Finish();
}

grpc::ByteBuffer EncodeStreamResult(const MergedResult& result, TimePoint arrival) {
  PredictStreamResponse header;
  FillResult(result, arrival, 0, header.mutable_result());
  ReplyWriter writer;
  writer.AddFields(header);
  for (const Tensor& output : result.response.outputs) {
    writer.AddTensorBytes(PredictStreamResponse::kRawOutputContentsFieldNumber, output,
                          result.response.keep_alive);
  }
  return std::move(writer).Finish();
}

grpc::ByteBuffer EncodeStreamMerged(const MergedPredict& merged) {
  const PredictResponse header = MakeHeader(merged);
  size_t size = header.ByteSizeLong();
  ForEachTensor(merged, [&](const Tensor& tensor, const std::shared_ptr<const void>&) {
    size += ReplyWriter::TensorFieldSize(PredictResponse::kRawOutputContentsFieldNumber,
                                         tensor.byte_size());
  });
  ReplyWriter writer;
  writer.BeginMessage(PredictStreamResponse::kMergedFieldNumber, size);
  writer.AddFields(header);
  AddTensors(merged, &writer);
  return std::move(writer).Finish();
}

}  // namespace tandem::server
