// Messages as gRPC hands them over: serialised, in as many slices as a test wants.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <vector>

#include "inference.pb.h"

namespace tandem::server {

// The text in slices of `slice_size` bytes.
grpc::ByteBuffer MakeBuffer(const std::string& bytes, size_t slice_size);

std::string BufferText(const grpc::ByteBuffer& buffer);

// A request for model "echo" with one FP32 input "x" of shape [1,values], raw.
inference::ModelInferRequest RawRequest(const std::vector<float>& values);

}  // namespace tandem::server
