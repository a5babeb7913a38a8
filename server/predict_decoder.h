// Reads PredictRequest messages. Pure functions, thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tensor.h"
#include "router/combine.h"
#include "router/response_merger.h"
#include "tandem.pb.h"

namespace grpc {
class ByteBuffer;
}  // namespace grpc

namespace tandem::server {

// One model of the request.
struct DecodedCall {
  const v1::ModelCall* message = nullptr;
  PoolPreference pool = PoolPreference::kAny;
  // Name in the reply.
  std::string key;
  int64_t version = -1;
  // Own inputs. Empty: the request's.
  std::vector<Tensor> inputs;
};

struct DecodedPredict {
  // Without the raw contents of the shared inputs. Part of what keep_alive keeps.
  const v1::PredictRequest* message = nullptr;
  std::vector<Tensor> shared_inputs;
  // cpu_models, gpu_models, models, in the request's order. Keys differ.
  std::vector<DecodedCall> calls;
  MergePolicy policy = MergePolicy::kAll;
  CombineMethod combine = CombineMethod::kNone;
  // Keeps all of the above's bytes. Shared by the requests that are made of it.
  std::shared_ptr<const void> keep_alive;
  // As InferRequest::client; set by the caller.
  uint64_t client = 0;
};

// The raw contents of shared inputs are not copied. INVALID_ARGUMENT where it is no valid request
// by itself.
absl::StatusOr<DecodedPredict> DecodePredictRequest(const grpc::ByteBuffer& buffer);

}  // namespace tandem::server
