#include "server/unsent_answers.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/response_encoder.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr uint64_t kOne = 1;
constexpr uint64_t kOther = 2;
constexpr size_t kSize = 10'000;

// Places of four answers in all and of two for a client, then copies of as many.
constexpr UnsentLimits kLimits = {4 * kSize, 2 * kSize, 0, 4 * kSize, 2 * kSize};

// Outputs of a batch in an arena.
struct Block {
  explicit Block(size_t size = kSize) : bytes(std::make_shared<std::string>(size, 'y')) {}

  // An answer that is `size` bytes of it.
  InferResponse Answer(size_t size = kSize) const {
    InferResponse response;
    response.model = "echo";
    Tensor& output = response.outputs.emplace_back();
    output.name = "y";
    output.type = DataType::kUint8;
    output.shape = {1, static_cast<int64_t>(size)};
    output.pieces.push_back(Bytes(reinterpret_cast<const std::byte*>(bytes->data()), size));
    response.keep_alive = bytes;
    response.kept_bytes = bytes->size();
    return response;
  }

  // Besides by this.
  bool is_kept() const { return bytes.use_count() > 1; }

  std::shared_ptr<std::string> bytes;
};

// An answer that is admitted, and not sent yet.
grpc::ByteBuffer Send(UnsentAnswers& unsent, uint64_t client, const Block& block,
                      size_t size = kSize) {
  InferResponse response = block.Answer(size);
  REQUIRE(unsent.Admit(client, &response).ok());
  grpc::ByteBuffer message = EncodeInferResponse(response, "", false);
  response = InferResponse{};
  inference::ModelInferResponse read;
  REQUIRE(read.ParseFromString(BufferText(message)));
  CHECK(read.raw_output_contents(0) == std::string(size, 'y'));
  return message;
}

}  // namespace

TEST_CASE("Unread answers of a client stay in the arena, then are copied, then refused",
          "[unsent]") {
  UnsentAnswers unsent(kLimits);
  std::vector<Block> blocks(5);
  std::vector<grpc::ByteBuffer> messages;
  for (int i = 0; i < 4; ++i) {
    CAPTURE(i);
    messages.push_back(Send(unsent, kOne, blocks[i]));
    CHECK(blocks[i].is_kept() == (i < 2));
  }
  InferResponse more = blocks[4].Answer();
  const absl::Status refused = unsent.Admit(kOne, &more);
  CHECK(refused.code() == absl::StatusCode::kResourceExhausted);
  CHECK(refused.message() ==
        "model 'echo': the answer has 10000 bytes, and 40000 bytes of answers are unread on this "
        "connection; read them first");

  // Another one is served from the arena.
  const Block others;
  const grpc::ByteBuffer sent = Send(unsent, kOther, others);
  CHECK(others.is_kept());

  // What was read makes room, of either kind.
  messages[3].Clear();
  CHECK(unsent.Admit(kOne, &more).ok());
  CHECK(more.keep_alive != blocks[4].bytes);
  InferResponse too_many = blocks[4].Answer();
  CHECK(!unsent.Admit(kOne, &too_many).ok());
  messages[0].Clear();
  CHECK(!blocks[0].is_kept());
  messages[0] = Send(unsent, kOne, blocks[0]);
  CHECK(blocks[0].is_kept());
}

TEST_CASE("Clients together keep no more than a part of the arena, and all are answered",
          "[unsent]") {
  UnsentAnswers unsent(kLimits);
  const std::vector<Block> blocks(12);
  std::vector<grpc::ByteBuffer> messages;
  for (size_t i = 0; i < blocks.size(); ++i) {
    CAPTURE(i);
    messages.push_back(Send(unsent, i + 1, blocks[i]));
    CHECK(blocks[i].is_kept() == (i < 4));
  }
  // Four in the arena, and eight copies: twice what clients may have that read nothing.
  const Block one_more;
  InferResponse more = one_more.Answer();
  const absl::Status refused = unsent.Admit(100, &more);
  CHECK(refused.code() == absl::StatusCode::kResourceExhausted);
  CHECK(refused.message() ==
        "model 'echo': the answer has 10000 bytes, and 120000 bytes of answers are unread on all "
        "connections, 0 of them on this one; try again later");
}

TEST_CASE("One answer is sent however large it is", "[unsent]") {
  UnsentAnswers unsent(kLimits);
  const Block large(50 * kSize);
  const grpc::ByteBuffer kept = Send(unsent, kOne, large, 50 * kSize);
  CHECK(large.is_kept());
  const Block also_large(50 * kSize);
  const grpc::ByteBuffer copied = Send(unsent, kOne, also_large, 50 * kSize);
  CHECK(!also_large.is_kept());
}

TEST_CASE("The answers of a batch keep its place once, and each client all of it", "[unsent]") {
  UnsentAnswers unsent(kLimits);
  const Block batch(2 * kSize);
  std::vector<grpc::ByteBuffer> messages;
  for (int i = 0; i < 10; ++i) messages.push_back(Send(unsent, kOne, batch, 5000));
  messages.push_back(Send(unsent, kOther, batch, 5000));
  CHECK(batch.is_kept());
  // Theirs is used up, the arena's is not.
  const std::vector<Block> blocks(3);
  for (const uint64_t client : {kOne, kOther}) {
    messages.push_back(Send(unsent, client, blocks[client]));
    CHECK(!blocks[client].is_kept());
  }
  messages.push_back(Send(unsent, 3, blocks[0]));
  CHECK(blocks[0].is_kept());
  messages.clear();
  CHECK(!batch.is_kept());
}

TEST_CASE("Small answers are copied and not counted, and take a place of the arena's else",
          "[unsent]") {
  UnsentLimits limits = kLimits;
  limits.least_place = kSize;
  UnsentAnswers unsent(limits);
  const Block large;
  std::vector<grpc::ByteBuffer> messages;
  for (int i = 0; i < 100; ++i) messages.push_back(Send(unsent, kOne, large, 4096));
  CHECK(!large.is_kept());
  for (int i = 0; i < 3; ++i) {
    const Block block(5000);
    messages.push_back(Send(unsent, kOne, block, 5000));
    CHECK(block.is_kept() == (i < 2));
  }
}

TEST_CASE("What is in no arena is counted as a copy", "[unsent]") {
  UnsentAnswers unsent(kLimits);
  const auto owner = std::make_shared<int>(7);
  const auto first = unsent.AdmitCopy(kOne, 2 * kSize, owner);
  REQUIRE(first.ok());
  CHECK(owner.use_count() == 2);
  CHECK(!unsent.AdmitCopy(kOne, kSize, owner).ok());
  const auto small = unsent.AdmitCopy(kOne, 100, owner);
  REQUIRE(small.ok());
  CHECK(*small == owner);
}

}  // namespace tandem::server
