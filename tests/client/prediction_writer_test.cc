#include "client/dataset/prediction_writer.h"

#include <cmath>

#include "client/dataset/npz_reader.h"
#include "tests/client/arrays.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

Prediction Good(int64_t row) {
  Prediction prediction;
  prediction.row = row;
  const float value = static_cast<float>(row);
  prediction.models.push_back(
      {"m", absl::OkStatus(), {ArrayOf<float>("y", DataType::kFp32, {2}, {value, 0.5f})}});
  prediction.combined = ArrayOf<int64_t>("vote", DataType::kInt64, {}, {row});
  return prediction;
}

Prediction Bad(int64_t row) {
  Prediction prediction;
  prediction.row = row;
  prediction.status = absl::InvalidArgumentError("line 3, \"x\"");
  return prediction;
}

std::unique_ptr<PredictionWriter> Open(const std::string& path, const nlohmann::json& state = {}) {
  auto writer = OpenWriter(path, false, state);
  INFO(writer.status().ToString());
  REQUIRE(writer.ok());
  return *std::move(writer);
}

TEST_CASE("A .jsonl file holds a line for each row, failed ones with the reason", "[client]") {
  const ScratchFolder folder;
  const auto writer = Open(folder.Path("o.jsonl"));
  Prediction partial = Good(2);
  partial.models.push_back({"late", absl::DeadlineExceededError("too late"), {}});
  REQUIRE(writer->Write(Good(0)).ok());
  REQUIRE(writer->Write(Bad(1)).ok());
  REQUIRE(writer->Write(partial).ok());
  CHECK_FALSE(folder.Has("o.jsonl"));
  REQUIRE(writer->Complete().ok());
  CHECK(folder.Read("o.jsonl") ==
        "{\"row\":0,\"models\":{\"m\":{\"y\":[0.0,0.5]}},\"combined\":{\"vote\":0}}\n"
        "{\"row\":1,\"error\":\"INVALID_ARGUMENT: line 3, \\\"x\\\"\"}\n"
        "{\"row\":2,\"models\":{\"m\":{\"y\":[2.0,0.5]}},"
        "\"errors\":{\"late\":\"DEADLINE_EXCEEDED: too late\"},\"combined\":{\"vote\":2}}\n");
  CHECK(folder.Count() == 1);
}

TEST_CASE("A .csv file has a header though its first row failed", "[client]") {
  const ScratchFolder folder;
  const auto writer = Open(folder.Path("o.csv"));
  REQUIRE(writer->Write(Bad(0)).ok());
  REQUIRE(writer->Write(Good(1)).ok());
  REQUIRE(writer->Complete().ok());
  CHECK(folder.Read("o.csv") ==
        "row,error,m.y[0],m.y[1],vote\n0,\"INVALID_ARGUMENT: line 3, \"\"x\"\"\",,,\n1,,1,0.5,1\n");
  CHECK(folder.Count() == 1);
}

TEST_CASE("A .npz file holds an array for each output, and which rows are good", "[client]") {
  const ScratchFolder folder;
  const auto writer = Open(folder.Path("o.npz"));
  REQUIRE(writer->Write(Bad(0)).ok());
  REQUIRE(writer->Write(Good(1)).ok());
  REQUIRE(writer->Complete().ok());
  CHECK(folder.Count() == 1);
  const auto reader = NpzReader::Open(folder.Path("o.npz"));
  INFO(reader.status().ToString());
  REQUIRE(reader.ok());
  CHECK((*reader)->row_count() == 2);
  const auto failed = (*reader)->Next();
  REQUIRE(failed.ok());
  CHECK((**failed).inputs[0].name == "row_ok");
  CHECK(ValuesOf<uint8_t>((**failed).inputs[0]) == std::vector<uint8_t>{0});
  CHECK((**failed).inputs[1].name == "m.y");
  CHECK(std::isnan(ValuesOf<float>((**failed).inputs[1])[0]));
  const auto good = (*reader)->Next();
  REQUIRE(good.ok());
  CHECK(ValuesOf<uint8_t>((**good).inputs[0]) == std::vector<uint8_t>{1});
  CHECK(ValuesOf<float>((**good).inputs[1]) == std::vector<float>{1, 0.5f});
  CHECK(ValuesOf<int64_t>((**good).inputs[2]) == std::vector<int64_t>{1});
}

TEST_CASE("Rows that a table cannot hold fail alone", "[client]") {
  const ScratchFolder folder;
  for (const std::string extension : {".csv", ".npz"}) {
    INFO(extension);
    const auto writer = Open(folder.Path("o" + extension));
    REQUIRE(writer->Write(Good(0)).ok());
    Prediction longer = Good(1);
    longer.models[0].outputs[0] = ArrayOf<float>("y", DataType::kFp32, {3}, {1, 2, 3});
    const absl::Status status = writer->Write(longer);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(std::string(status.message()).find("a .jsonl can") != std::string::npos);
    REQUIRE(writer->Write(Good(2)).ok());
    REQUIRE(writer->Complete().ok());
  }
  const std::string table = folder.Read("o.csv");
  CHECK(table.find("\n2,,2,0.5,2\n") != std::string::npos);
  const auto reader = NpzReader::Open(folder.Path("o.npz"));
  INFO(reader.status().ToString());
  REQUIRE(reader.ok());
  CHECK((*reader)->row_count() == 3);
}

TEST_CASE("A writer that goes on from a checkpoint writes the same file", "[client]") {
  for (const std::string extension : {".jsonl", ".csv", ".npz"}) {
    INFO(extension);
    const ScratchFolder folder;
    const auto whole = Open(folder.Path("whole" + extension));
    for (int64_t row = 0; row < 4; ++row) REQUIRE(whole->Write(row == 2 ? Bad(2) : Good(row)).ok());
    REQUIRE(whole->Complete().ok());

    nlohmann::json state;
    {
      const auto first = Open(folder.Path("o" + extension));
      REQUIRE(first->Write(Good(0)).ok());
      REQUIRE(first->Write(Good(1)).ok());
      const auto checkpoint = first->Checkpoint();
      REQUIRE(checkpoint.ok());
      state = *checkpoint;
      // Written, but behind the checkpoint: the next writer writes it anew.
      REQUIRE(first->Write(Bad(2)).ok());
      const auto partial = first->Suspend();
      REQUIRE(partial.ok());
      CHECK(*partial == folder.Path("o" + extension + ".partial"));
      CHECK_FALSE(folder.Has("o" + extension));
    }
    const auto second = Open(folder.Path("o" + extension), state);
    REQUIRE(second->Write(Bad(2)).ok());
    REQUIRE(second->Write(Good(3)).ok());
    REQUIRE(second->Complete().ok());
    CHECK(folder.Read("o" + extension) == folder.Read("whole" + extension));
    CHECK(folder.Count() == 2);
  }
}

TEST_CASE("A checkpoint that the files do not bear out is refused", "[client]") {
  const ScratchFolder folder;
  const auto refused = [&folder](const char* name, const char* state) {
    return absl::IsInvalidArgument(
        OpenWriter(folder.Path(name), false, nlohmann::json::parse(state)).status());
  };
  CHECK(refused("o.jsonl", "{\"bytes\":7}"));
  CHECK(refused("o.jsonl", "{\"bites\":7}"));
  CHECK(refused("o.npz",
                "{\"rows\":2,\"columns\":[{\"name\":\"a\",\"type\":\"FP32\",\"shape\":[-1]}]}"));
  CHECK(refused("o.txt", "null"));
}

}  // namespace
}  // namespace tandem::client
