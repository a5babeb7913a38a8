// Makes the messages of PredictionService out of merged answers. Large outputs are not copied: the
// buffers keep the answers' bytes. Pure functions, thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "server/predict_run.h"

namespace tandem::server {

// A PredictResponse.
grpc::ByteBuffer EncodePredictResponse(const MergedPredict& merged);

// A PredictStreamResponse with one call's result. `arrival` is the request's.
grpc::ByteBuffer EncodeStreamResult(const MergedResult& result, TimePoint arrival);

// The last PredictStreamResponse.
grpc::ByteBuffer EncodeStreamMerged(const MergedPredict& merged);

}  // namespace tandem::server
