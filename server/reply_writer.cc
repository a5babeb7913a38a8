#include "server/reply_writer.h"

#include <google/protobuf/message_lite.h>

#include <utility>

namespace tandem::server {
namespace {

// For small tensors behind the fields.
constexpr size_t kRoomForTensors = 1024;
constexpr uint64_t kLengthDelimitedType = 2;

void AppendVarint(uint64_t value, std::string* to) {
  while (value >= 0x80) {
    to->push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  to->push_back(static_cast<char>(value));
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

void Release(void* keep_alive) { delete static_cast<std::shared_ptr<const void>*>(keep_alive); }

}  // namespace

void ReplyWriter::AddFields(const google::protobuf::MessageLite& message) {
  // So that the text does not grow step by step.
  copied_.reserve(copied_.size() + message.ByteSizeLong() + kRoomForTensors);
  message.AppendToString(&copied_);
}

void ReplyWriter::AddTag(uint32_t field, size_t size) {
  AppendVarint((uint64_t{field} << 3) | kLengthDelimitedType, &copied_);
  AppendVarint(size, &copied_);
}

void ReplyWriter::BeginMessage(uint32_t field, size_t size) { AddTag(field, size); }

void ReplyWriter::AddTensorBytes(uint32_t field, const Tensor& tensor,
                                 const std::shared_ptr<const void>& keep_alive) {
  AddTag(field, tensor.byte_size());
  for (const Bytes& piece : tensor.pieces) {
    if (piece.size() <= kCopyUpTo) {
      copied_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      continue;
    }
    FlushCopied();
    // gRPC only reads the bytes; its interface has no word for that.
    void* data = const_cast<std::byte*>(piece.data());
    slices_.emplace_back(data, piece.size(), &Release, new std::shared_ptr<const void>(keep_alive));
  }
}

size_t ReplyWriter::TensorFieldSize(uint32_t field, size_t bytes) {
  return VarintSize((uint64_t{field} << 3) | kLengthDelimitedType) + VarintSize(bytes) + bytes;
}

void ReplyWriter::FlushCopied() {
  if (copied_.empty()) return;
  slices_.emplace_back(copied_.data(), copied_.size());
  copied_.clear();
}

grpc::ByteBuffer ReplyWriter::Finish() && {
  FlushCopied();
  return grpc::ByteBuffer(slices_.data(), slices_.size());
}

}  // namespace tandem::server
