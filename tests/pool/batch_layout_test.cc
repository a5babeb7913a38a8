#include "backends/pool/batch_layout.h"

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

// The batch as the worker sees it.
struct Written {
  explicit Written(const Batch& batch, uint64_t offset = 128) {
    const absl::StatusOr<BatchLayout> layout = BatchLayout::Plan(batch);
    REQUIRE(layout.ok());
    arena.resize(offset + layout->bytes());
    layout->Write(batch, offset, arena.data());
    const absl::StatusOr<std::vector<ipc::ArenaTensor>> record =
        ipc::ReadRecord(arena, offset, layout->record_bytes());
    REQUIRE(record.ok());
    tensors = *record;
  }
  std::vector<float> numbers(size_t tensor) const {
    Tensor read;
    read.pieces.push_back(Bytes(arena).subspan(tensors[tensor].offset, tensors[tensor].bytes));
    return Numbers(read);
  }

  std::vector<std::byte> arena;
  std::vector<ipc::ArenaTensor> tensors;
};

TEST_CASE("A batch's members lie one after the other as one aligned tensor", "[batch_layout]") {
  TestBatch batch(1, 1);
  batch.Add({1, 2}).Add({3, 4, 5, 6}, 2).Add({7, 8});
  const Written written(batch.get());
  REQUIRE(written.tensors.size() == 1);
  CHECK(written.tensors[0].name == "X");
  CHECK(written.tensors[0].shape == Shape{4, 2});
  CHECK(written.tensors[0].offset % ipc::kTensorAlignment == 0);
  CHECK(written.numbers(0) == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("A single member keeps its shape, be it a scalar", "[batch_layout]") {
  const float number = 5;
  Tensor scalar;
  scalar.name = "S";
  scalar.type = DataType::kFp32;
  scalar.pieces.push_back({reinterpret_cast<const std::byte*>(&number), sizeof(number)});
  Batch batch;
  batch.member_inputs = {{&scalar, 1}};
  const Written written(batch);
  CHECK(written.tensors.at(0).shape.empty());
  CHECK(written.numbers(0) == std::vector<float>{5});
}

TEST_CASE("Pieces are gathered, empty tensors and left-out inputs take no bytes",
          "[batch_layout]") {
  const std::vector<float> numbers = {1, 2, 3};
  const Bytes bytes(reinterpret_cast<const std::byte*>(numbers.data()),
                    sizeof(float) * numbers.size());
  std::vector<Tensor> inputs(3);
  inputs[0].name = "left out";
  inputs[1].name = "empty";
  inputs[1].type = DataType::kFp32;
  inputs[1].shape = {0, 4};
  inputs[2].name = "pieces";
  inputs[2].type = DataType::kFp32;
  inputs[2].shape = {3};
  inputs[2].pieces = {bytes.subspan(0, 5), bytes.subspan(5, 0), bytes.subspan(5)};
  Batch batch;
  batch.member_inputs = {inputs};
  const Written written(batch, 64);
  CHECK(written.tensors.at(0).type == DataType::kInvalid);
  CHECK(written.tensors.at(0).bytes == 0);
  CHECK(written.tensors.at(1).shape == Shape{0, 4});
  CHECK(written.numbers(2) == numbers);
}

TEST_CASE("What no record can describe is refused", "[batch_layout]") {
  std::vector<Tensor> inputs(1);
  inputs[0].type = DataType::kFp32;
  Batch batch;
  SECTION("too many dimensions") { inputs[0].shape.assign(kMaxRank + 1, 1); }
  SECTION("too long a name") { inputs[0].name.assign(kMaxTensorNameBytes + 1, 'n'); }
  SECTION("too many inputs") { inputs.resize(ipc::kMaxTensors + 1); }
  batch.member_inputs = {inputs};
  CHECK(BatchLayout::Plan(batch).status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tandem::testing
