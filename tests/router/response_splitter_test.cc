#include "router/response_splitter.h"

#include <numeric>

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

std::unique_ptr<ScheduledBatch> BatchOf(const ModelConfig& config,
                                        const std::vector<int64_t>& rows) {
  auto batch = std::make_unique<ScheduledBatch>();
  batch->batch.rows = 0;
  for (const int64_t member_rows : rows) {
    auto member = Queued(kStart, member_rows);
    member->model = Version(config);
    batch->members.push_back(std::move(member));
    batch->batch.rows += member_rows;
  }
  return batch;
}

std::string Failure(const ScheduledBatch& batch, const BatchResult& result) {
  const auto split = SplitOutputs(batch, result);
  REQUIRE_FALSE(split.ok());
  CHECK(split.status().code() == absl::StatusCode::kInternal);
  return std::string(split.status().message());
}

std::vector<std::byte> BytesOf(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.byte_size());
  CopyBytes(tensor, bytes.data());
  return bytes;
}

TEST_CASE("Each member gets its rows, where they lie", "[splitter]") {
  const auto batch = BatchOf(BatchingModel(), {2, 1, 3});
  std::vector<float> values(6 * 4);
  std::iota(values.begin(), values.end(), 0.f);
  BatchResult result;
  result.outputs.push_back(TensorOf("y", DataType::kFp32, {6, 4}, values));
  const auto split = SplitOutputs(*batch, result);
  REQUIRE(split.ok());
  REQUIRE(split->size() == 3);
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  size_t row = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Tensor& part = (*split)[i][0];
    const int64_t rows = batch->members[i]->rows;
    CHECK(part.shape == Shape{rows, 4});
    REQUIRE(part.pieces.size() == 1);
    CHECK(part.pieces[0].data() == bytes + row * 16);
    CHECK(part.byte_size() == static_cast<size_t>(rows) * 16);
    row += static_cast<size_t>(rows);
  }
}

TEST_CASE("Outputs in several pieces are cut across them", "[splitter]") {
  const auto batch = BatchOf(BatchingModel(), {1, 2});
  std::vector<float> values(3 * 4);
  std::iota(values.begin(), values.end(), 0.f);
  Tensor output = TensorOf("y", DataType::kFp32, {3, 4}, values);
  const Bytes all = output.pieces[0];
  output.pieces = {all.subspan(0, 5), all.subspan(5, 0), all.subspan(5, 20), all.subspan(25)};
  BatchResult result;
  result.outputs.push_back(output);
  const auto split = SplitOutputs(*batch, result);
  REQUIRE(split.ok());
  std::vector<std::byte> joined = BytesOf((*split)[0][0]);
  CHECK(joined.size() == 16);
  for (const std::byte byte : BytesOf((*split)[1][0])) joined.push_back(byte);
  CHECK(joined == std::vector<std::byte>(all.begin(), all.end()));
}

TEST_CASE("Strings are cut by their lengths", "[splitter]") {
  ModelConfig config = BatchingModel();
  config.outputs[0] = Spec("y", DataType::kBytes, {2});
  const auto batch = BatchOf(config, {1, 1});
  const std::vector<uint8_t> values = {1, 0, 0, 0,   'a', 0, 0, 0, 0, 2,
                                       0, 0, 0, 'b', 'c', 1, 0, 0, 0, 'd'};
  BatchResult result;
  result.outputs.push_back(TensorOf("y", DataType::kBytes, {2, 2}, values));
  const auto split = SplitOutputs(*batch, result);
  REQUIRE(split.ok());
  CHECK((*split)[0][0].byte_size() == 9);
  CHECK((*split)[1][0].byte_size() == 11);
  CHECK(CheckStrings((*split)[0][0].pieces, 2).ok());
  CHECK(CheckStrings((*split)[1][0].pieces, 2).ok());
}

TEST_CASE("Outputs come in the order that the request names, else in the model's", "[splitter]") {
  ModelConfig config = BatchingModel();
  config.outputs.push_back(Spec("w", DataType::kFp32, {4}));
  const auto batch = BatchOf(config, {1, 1, 1});
  batch->members[1]->request->requested_outputs = {"w"};
  batch->members[2]->request->requested_outputs = {"w", "y"};
  BatchResult result;
  const bool reversed = GENERATE(true, false);
  for (const char* name : {reversed ? "w" : "y", reversed ? "y" : "w"}) {
    result.outputs.push_back(MakeTensor(name, DataType::kFp32, {3, 4}));
  }
  const auto split = SplitOutputs(*batch, result);
  REQUIRE(split.ok());
  const auto names = [&](size_t member) {
    std::string all;
    for (const Tensor& output : (*split)[member]) all += output.name;
    return all;
  };
  CHECK(names(0) == "yw");
  CHECK(names(1) == "w");
  CHECK(names(2) == "wy");
}

TEST_CASE("Outputs that do not fit the batch or the model are not passed on", "[splitter]") {
  const auto batch = BatchOf(BatchingModel(), {1, 1});
  const auto failure = [&](const char* name, DataType type, Shape shape) {
    BatchResult result;
    result.outputs.push_back(MakeTensor(name, type, std::move(shape)));
    return Failure(*batch, result);
  };
  CHECK(failure("y", DataType::kFp32, {3, 4}) ==
        "model \"m\", output \"y\": expected 2 rows for a batch of 2, got shape [3,4]");
  CHECK(failure("y", DataType::kFp32, {}) ==
        "model \"m\", output \"y\": expected 2 rows for a batch of 2, got shape []");
  CHECK(failure("y", DataType::kInt32, {2, 4}) ==
        "model \"m\", output \"y\": expected data type FP32, got INT32");
  CHECK(failure("y", DataType::kFp32, {2, 5}) ==
        "model \"m\", output \"y\": expected shape [-1,4], got [2,5]");
  CHECK(failure("z", DataType::kFp32, {2, 4}) ==
        "model \"m\", output \"y\": the model did not return it");
  BatchResult cut;
  cut.outputs.push_back(MakeTensor("y", DataType::kFp32, {1, 4}));
  cut.outputs[0].shape = {2, 4};
  CHECK(Failure(*batch, cut).find("needs more than the 16 bytes") != std::string::npos);
}

TEST_CASE("A model without batch dimension gives its output whole", "[splitter]") {
  ModelConfig config = BatchingModel();
  config.max_batch_size = 0;
  const auto batch = BatchOf(config, {1});
  BatchResult result;
  result.outputs.push_back(MakeTensor("y", DataType::kFp32, {4}));
  const auto split = SplitOutputs(*batch, result);
  REQUIRE(split.ok());
  CHECK((*split)[0][0].shape == Shape{4});
}

}  // namespace
}  // namespace tandem
