// Builds a serialised protobuf message as a chain of gRPC slices, in which large tensors are not
// copied but borrowed from where the worker wrote them. Not thread-safe; one message each.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace tandem::server {

class ReplyWriter {
 public:
  // In bytes. Up to here a copy of a piece of a tensor costs less than a slice with an owner, and
  // the worker has its place back at once.
  static constexpr size_t kCopyUpTo = 4096;

  // Appends the message's fields.
  void AddFields(const google::protobuf::MessageLite& message);

  // Begins a field that holds a message of `size` bytes; what is added next is its content.
  void BeginMessage(uint32_t field, size_t size);

  // Appends a `bytes` field with the tensor's bytes. They stay where they are, and `keep_alive`
  // with them until gRPC has sent them; small ones are copied, which is cheaper.
  void AddTensorBytes(uint32_t field, const Tensor& tensor,
                      const std::shared_ptr<const void>& keep_alive);

  // Bytes that AddTensorBytes would add for a tensor of `bytes` bytes.
  static size_t TensorFieldSize(uint32_t field, size_t bytes);

  grpc::ByteBuffer Finish() &&;

 private:
  void AddTag(uint32_t field, size_t size);
  void FlushCopied();

  // Bytes that wait to become a slice of their own.
  std::string copied_;
  std::vector<grpc::Slice> slices_;
};

}  // namespace tandem::server
