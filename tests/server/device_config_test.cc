#include <string>

#include "absl/strings/str_cat.h"
#include "server/model_config_file.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

absl::StatusOr<ModelConfigFile> ReadConfig(const std::string& text) {
  return ParseModelConfig(absl::StrCat("max_batch_size: 32\n", text), "model",
                          {.cpu = true, .gpu = true});
}

std::string Parameter(const absl::StatusOr<ModelConfigFile>& file, const std::string& key) {
  INFO(file.status());
  REQUIRE(file.ok());
  const auto found = file->config.parameters.find(key);
  return found == file->config.parameters.end() ? "" : found->second;
}

std::string Given(const std::string& key, const std::string& value) {
  return absl::StrCat("parameters { key: \"", key, "\" value { string_value: \"", value,
                      "\" } }\n");
}

void CheckRefusal(const std::string& text, const std::string& word) {
  const auto file = ReadConfig(text);
  REQUIRE_FALSE(file.ok());
  const std::string reason(file.status().message());
  CAPTURE(reason);
  CHECK(absl::IsInvalidArgument(file.status()));
  CHECK(reason.find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("Graphs in Triton's words become the list of sizes that a worker knows",
          "[device_config]") {
  const std::string graphs = "optimization { cuda { graphs: true";
  CHECK(Parameter(ReadConfig(graphs + " } }"), "cuda_graphs") == "1,2,3,4,6,8,12,16,32");
  CHECK(Parameter(ReadConfig(graphs + " } }\ndynamic_batching { preferred_batch_size: [ 4, 8 ] }"),
                  "cuda_graphs") == "1,4,8,32");
  CHECK(Parameter(
            ReadConfig(graphs + " graph_spec { batch_size: 8 } graph_spec { batch_size: 1 } } }"),
            "cuda_graphs") == "1,8");
  CHECK(Parameter(ReadConfig("optimization { cuda { graphs: false } }"), "cuda_graphs").empty());
  const auto unbatched = ParseModelConfig(
      "optimization { cuda { graphs: true graph_spec { batch_size: 0 } } }", "model", {true, true});
  CHECK(Parameter(unbatched, "cuda_graphs") == "1");
}

TEST_CASE("What is not acted on of optimization is noted", "[device_config]") {
  const auto passed_over = ReadConfig("optimization { priority: PRIORITY_MAX }");
  REQUIRE(passed_over.ok());
  REQUIRE(passed_over->notes.size() == 1);
  CHECK(passed_over->notes[0] == "config.pbtxt:2: optimization is passed over");
  const auto partly = ReadConfig("optimization { cuda { graphs: true busy_wait_events: true } }");
  REQUIRE(partly.ok());
  REQUIRE(partly->notes.size() == 1);
  CHECK(partly->notes[0].find("only cuda.graphs") != std::string::npos);
}

TEST_CASE("Precision and sizes hold for one kind of pool where their key says so",
          "[device_config]") {
  const auto file = ReadConfig(Given("autocast@gpu", "fp16") + Given("autocast@cpu", "off") +
                               Given("cuda_graphs@gpu", "1,8,32"));
  CHECK(Parameter(file, "autocast@gpu") == "fp16");
  CHECK(Parameter(file, "cuda_graphs@gpu") == "1,8,32");
}

TEST_CASE("A precision and sizes that cannot be are refused with their line", "[device_config]") {
  CheckRefusal(Given("autocast", "int8"), "config.pbtxt:2: parameters: autocast: 'int8'");
  CheckRefusal(Given("autocast@gpu", ""), "expected bf16, fp16 or off");
  CheckRefusal("platform: \"torch_aoti\"\n" + Given("autocast", "bf16"), "exported with");
  CheckRefusal(Given("cuda_graphs", "1,64"), "expected batch sizes from 1 to 32");
  CheckRefusal(Given("cuda_graphs", "1,,2"), "'1,,2'");
  CheckRefusal(Given("cuda_graphs", ""), "cuda_graphs");
  CheckRefusal("optimization { cuda { graphs: true graph_spec { batch_size: 33 } } }",
               "config.pbtxt:2: optimization: graph_spec: '33'");
  CheckRefusal("optimization { cuda { graphs: true } }\n" + Given("cuda_graphs@gpu", "1"),
               "keep one");
}

TEST_CASE("Graphs of a model that is not TorchScript are passed over with a note",
          "[device_config]") {
  const auto file = ReadConfig("platform: \"torch_aoti\"\noptimization { cuda { graphs: true } }");
  CHECK(Parameter(file, "cuda_graphs").empty());
  REQUIRE(file->notes.size() == 2);
  CHECK(file->notes[1].find("passed over for torch_aoti") != std::string::npos);
}

}  // namespace tandem::server
