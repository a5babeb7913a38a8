#include "server/reply_writer.h"

#include <memory>
#include <string>
#include <utility>

#include "inference.pb.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr uint32_t kRawField = inference::ModelInferResponse::kRawOutputContentsFieldNumber;

Tensor TensorOf(const std::string& bytes) {
  Tensor tensor;
  tensor.pieces.push_back(Bytes(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()));
  return tensor;
}

}  // namespace

TEST_CASE("Fields and tensors of any size make a message that protobuf reads", "[reply_writer]") {
  inference::ModelInferResponse header;
  header.set_model_name("echo");
  const auto keep_alive = std::make_shared<int>(0);
  for (const size_t size : {0, 1, 127, 128, 1024, 1025, 70000}) {
    CAPTURE(size);
    const std::string bytes(size, 'b');
    const std::string end = "end";
    ReplyWriter writer;
    writer.AddFields(header);
    writer.AddTensorBytes(kRawField, TensorOf(bytes), keep_alive);
    writer.AddTensorBytes(kRawField, TensorOf(end), keep_alive);
    inference::ModelInferResponse read;
    REQUIRE(read.ParseFromString(BufferText(std::move(writer).Finish())));
    CHECK(read.model_name() == "echo");
    REQUIRE(read.raw_output_contents_size() == 2);
    CHECK(read.raw_output_contents(0) == bytes);
    CHECK(read.raw_output_contents(1) == "end");
  }
}

TEST_CASE("A large tensor is kept alive by the buffer and released with it", "[reply_writer]") {
  const std::string bytes(100000, 'b');
  auto keep_alive = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = keep_alive;
  {
    grpc::ByteBuffer buffer;
    {
      ReplyWriter writer;
      writer.AddTensorBytes(kRawField, TensorOf(bytes), keep_alive);
      buffer = std::move(writer).Finish();
    }
    keep_alive.reset();
    CHECK_FALSE(watch.expired());
    std::vector<grpc::Slice> slices;
    REQUIRE(buffer.Dump(&slices).ok());
    bool borrowed = false;
    for (const grpc::Slice& slice : slices) {
      borrowed |= reinterpret_cast<const char*>(slice.begin()) == bytes.data();
    }
    CHECK(borrowed);
  }
  CHECK(watch.expired());
}

TEST_CASE("The size of a tensor's field is told before it is written", "[reply_writer]") {
  for (const size_t size : {0, 127, 128, 20000}) {
    ReplyWriter writer;
    const std::string bytes(size, 'x');
    writer.AddTensorBytes(kRawField, TensorOf(bytes), nullptr);
    CHECK(BufferText(std::move(writer).Finish()).size() ==
          ReplyWriter::TensorFieldSize(kRawField, size));
  }
}

}  // namespace tandem::server
