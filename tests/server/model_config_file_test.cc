#include "server/model_config_file.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr PoolKinds kBoth{true, true};

void CheckConfigRefused(const std::string& text, const std::string& expected,
                        PoolKinds pools = kBoth) {
  CAPTURE(text);
  const auto file = ParseModelConfig(text, "model", pools);
  REQUIRE_FALSE(file.ok());
  CAPTURE(std::string(file.status().message()));
  CHECK(std::string(file.status().message()).find(expected) != std::string::npos);
}

ModelConfig ParseConfig(const std::string& text, PoolKinds pools = kBoth) {
  const auto file = ParseModelConfig(text, "model", pools);
  INFO(std::string(file.status().message()));
  REQUIRE(file.ok());
  return file->config;
}

}  // namespace

TEST_CASE("A configuration in Triton's field names is read", "[model_config]") {
  const auto file = ParseModelConfig(R"(name: "model"
platform: "pytorch_libtorch"
max_batch_size: 8
input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, -1 ] },
        { name: "INPUT__1" data_type: TYPE_STRING dims: [ 1 ] optional: true } ]
output [ { name: "OUTPUT__0" data_type: TYPE_INT64 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 2 }, { kind: KIND_GPU count: 1 } ]
dynamic_batching { preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 500 }
version_policy { specific { versions: [ 2, 5 ] } }
parameters { key: "method" value { string_value: "audio_forward" } }
default_model_filename: "net.pt"
)",
                                     "model", kBoth);
  REQUIRE(file.ok());
  const ModelConfig& config = file->config;
  CHECK(config.max_batch_size == 8);
  REQUIRE(config.inputs.size() == 2);
  CHECK(config.inputs[0].dims == Shape{3, -1});
  CHECK(config.inputs[1].type == DataType::kBytes);
  CHECK(config.inputs[1].optional);
  CHECK(config.outputs[0].type == DataType::kInt64);
  CHECK(config.instances_cpu == 2);
  CHECK(config.instances_gpu == 1);
  CHECK(config.dynamic_batching);
  CHECK(config.preferred_batch_sizes == std::vector<uint32_t>{4, 8});
  CHECK(config.max_queue_delay == std::chrono::microseconds(500));
  CHECK(config.method == "audio_forward");
  CHECK(file->versions.versions == std::vector<int64_t>{2, 5});
  CHECK(file->model_file == "net.pt");
  CHECK(file->notes.empty());
}

TEST_CASE("The instance groups decide which pools hold the model", "[model_config]") {
  const ModelConfig cpu = ParseConfig("instance_group { kind: KIND_CPU }");
  CHECK(cpu.on_cpu);
  CHECK_FALSE(cpu.on_gpu);
  const ModelConfig automatic = ParseConfig("instance_group { kind: KIND_AUTO count: 3 }");
  CHECK(automatic.on_cpu);
  CHECK(automatic.on_gpu);
  CHECK(automatic.instances_gpu == 3);
  const ModelConfig summed =
      ParseConfig("instance_group [ { kind: KIND_CPU count: 1 }, { kind: KIND_CPU count: 2 } ]");
  CHECK(summed.instances_cpu == 3);
  const ModelConfig none = ParseConfig("", {true, false});
  CHECK(none.on_cpu);
  CHECK_FALSE(none.on_gpu);
  // A group without a count may use every lane, whatever another one says.
  CHECK(ParseConfig("instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU count: 2 } ]")
            .instances_cpu == 0);
}

TEST_CASE("A model may limit the time of its batches", "[model_config]") {
  const auto limited = [](const std::string& value) {
    return "parameters { key: \"execution_timeout_ms\" value { string_value: \"" + value + "\" } }";
  };
  CHECK(ParseConfig("").execution_timeout == Duration{0});
  CHECK(ParseConfig(limited("250")).execution_timeout == std::chrono::milliseconds(250));
  for (const char* value : {"", "0", "-1", "soon", "86400001"}) {
    CheckConfigRefused(limited(value), "execution_timeout_ms: expected 1 to 86400000 milliseconds");
  }
}

TEST_CASE("Priority levels and the limits of their queues are read", "[model_config]") {
  const ModelConfig config = ParseConfig(R"(max_batch_size: 4
dynamic_batching {
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy { default_timeout_microseconds: 5000 max_queue_size: 10 }
  priority_queue_policy {
    key: 3
    value { timeout_action: DELAY default_timeout_microseconds: 700 allow_timeout_override: true }
  }
})");
  CHECK(config.priority_levels == 3);
  CHECK(config.default_priority_level == 2);
  CHECK(config.queue_policy.default_timeout == std::chrono::milliseconds(5));
  CHECK(config.queue_policy.max_queue_size == 10);
  CHECK_FALSE(config.queue_policy.delay_on_timeout);
  REQUIRE(config.level_policies.count(3) == 1);
  CHECK(config.level_policies.at(3).delay_on_timeout);
  CHECK(config.level_policies.at(3).default_timeout == std::chrono::microseconds(700));
  CHECK(ParseConfig("max_batch_size: 4\ndynamic_batching { preserve_ordering: true }")
            .preserve_ordering);
}

TEST_CASE("Batching fields that contradict each other are refused with line and field",
          "[model_config]") {
  const auto batching = [](const std::string& fields) {
    return "max_batch_size: 4\ndynamic_batching {\n" + fields + "\n}";
  };
  CheckConfigRefused(batching("default_priority_level: 1"),
                     "config.pbtxt:3: default_priority_level");
  CheckConfigRefused(batching("priority_levels: 2"),
                     "config.pbtxt:3: priority_levels: it is 2, but default_priority_level is 0");
  CheckConfigRefused(batching("priority_levels: 2\ndefault_priority_level: 3"),
                     "config.pbtxt:4: default_priority_level: expected a number from 1");
  CheckConfigRefused(batching("priority_levels: 1001"), "config.pbtxt:3: priority_levels");
  CheckConfigRefused(
      batching("priority_levels: 2 default_priority_level: 1\npreserve_ordering: true"),
      "config.pbtxt:4: preserve_ordering");
  CheckConfigRefused(batching("preserve_ordering: true\ndefault_queue_policy {\n"
                              "timeout_action: DELAY }"),
                     "config.pbtxt:5: timeout_action");
  CheckConfigRefused(batching("priority_levels: 2 default_priority_level: 1\n"
                              "priority_queue_policy { key: 3 value { } }"),
                     "config.pbtxt:4: priority_queue_policy");
  CheckConfigRefused(batching("priority_queue_policy { key: 1 value { } }"),
                     "config.pbtxt:3: priority_queue_policy");
}

TEST_CASE("A key that stands twice in a map is refused with line and field", "[model_config]") {
  CheckConfigRefused(R"(max_batch_size: 4
dynamic_batching {
  priority_levels: 2 default_priority_level: 1
  priority_queue_policy { key: 2 value { max_queue_size: 1 } }
  priority_queue_policy { key: 1 value { } }
  priority_queue_policy { key: 2 value { } }
})",
                     "config.pbtxt:6: priority_queue_policy: the key 2 is given twice; keep one");
  CheckConfigRefused(R"(parameters { key: "placement" value { string_value: "cpu" } }
parameters { key: "placement" value { string_value: "gpu" } })",
                     "config.pbtxt:2: parameters: the key 'placement' is given twice; keep one");
  const auto with_key = [](const std::string& key) {
    return "parameters { key: \"" + key + "\" value { string_value: \"1\" } }\n";
  };
  const std::string key(100, 'k');
  CHECK(ParseModelConfig(with_key(key + "1") + with_key(key + "2"), "model", kBoth).ok());
}

TEST_CASE("A placement narrows the pools, within what the instance groups allow",
          "[model_config]") {
  const auto placed = [](const std::string& value) {
    return "parameters { key: \"placement\" value { string_value: \"" + value + "\" } }\n";
  };
  CHECK(ParseConfig(placed("cpu")).on_cpu);
  CHECK_FALSE(ParseConfig(placed("cpu")).on_gpu);
  // Where there is no such pool, the model misses it aloud when it is loaded.
  CHECK(ParseConfig(placed("gpu"), {true, false}).on_gpu);
  CHECK_FALSE(ParseConfig(placed("gpu"), {true, false}).on_cpu);
  CHECK(ParseConfig(placed("prefer_gpu")).placement == PlacementMode::kPreferGpu);
  CHECK(ParseConfig(placed("prefer_gpu"), {true, false}).on_cpu);
  CHECK(ParseConfig(placed("fallback")).placement == PlacementMode::kFallback);
  CHECK(ParseConfig(placed("auto")).on_gpu);
  CheckConfigRefused("\n" + placed("tpu"), "config.pbtxt:2: parameters: placement: 'tpu'");
  CheckConfigRefused(placed("tpu"), "auto, cpu, gpu, prefer_cpu, prefer_gpu, fallback");
  CheckConfigRefused(placed("gpu") + "instance_group { kind: KIND_CPU }", "KIND_GPU");
  CheckConfigRefused(placed("cpu") + "instance_group { kind: KIND_GPU }", "KIND_CPU");
  CheckConfigRefused(placed("fallback") + "instance_group { kind: KIND_GPU }", "KIND_CPU");
}

TEST_CASE("A placement contradicts the instance groups whatever pools the server has",
          "[model_config]") {
  const std::string on_gpu = "instance_group { kind: KIND_GPU }\n";
  const std::string on_cpu = "instance_group { kind: KIND_CPU }\n";
  const std::string on_any = "instance_group { kind: KIND_AUTO }\n";
  const auto placed = [](const std::string& value) {
    return "parameters { key: \"placement\" value { string_value: \"" + value + "\" } }\n";
  };
  for (const PoolKinds pools : {kBoth, PoolKinds{true, false}, PoolKinds{false, true}}) {
    CAPTURE(pools.cpu, pools.gpu);
    for (const char* value : {"gpu", "prefer_gpu", "fallback"}) {
      CheckConfigRefused(on_cpu + placed(value), "which has no KIND_GPU", pools);
    }
    for (const char* value : {"cpu", "prefer_cpu", "fallback"}) {
      CheckConfigRefused(on_gpu + placed(value), "which has no KIND_CPU", pools);
    }
    for (const char* value : {"auto", "cpu", "gpu", "prefer_cpu", "prefer_gpu", "fallback"}) {
      CHECK(ParseModelConfig(on_any + placed(value), "model", pools).ok());
    }
  }
}

TEST_CASE("A model may have its own number of intra-op threads", "[model_config]") {
  for (const char* value : {"0", "-1", "many", "1025"}) {
    CheckConfigRefused(
        std::string("parameters { key: \"intra_op_thread_count\" value { string_value: \"") +
            value + "\" } }",
        "intra_op_thread_count: expected 1 to 1024 threads");
  }
}

TEST_CASE("Keys that nobody acts on are noted, and Triton's name for the threads is known",
          "[model_config]") {
  const auto parse = [](const std::string& key) {
    return ParseModelConfig("parameters { key: \"" + key + "\" value { string_value: \"2\" } }",
                            "model", kBoth);
  };
  for (const char* key :
       {"placment", "alpha_us@gpu", "INFERENCE_MODE", "intra_op_thread_counter"}) {
    CAPTURE(key);
    const auto file = parse(key);
    REQUIRE(file.ok());
    REQUIRE(file->notes.size() == 1);
    CHECK(file->notes[0].find(std::string("config.pbtxt:1: parameters: ") + key +
                              " is passed over: ") == 0);
  }
  const auto triton = parse("INTRA_OP_THREAD_COUNT");
  REQUIRE(triton.ok());
  CHECK(triton->notes.empty());
  CHECK(triton->config.parameters.at("intra_op_thread_count") == "2");
}

TEST_CASE("A key may be of a kind of pool where it can differ by that", "[model_config]") {
  const auto refused = [](const std::string& key, const std::string& expected) {
    CheckConfigRefused("parameters { key: \"" + key + "\" value { string_value: \"1\" } }",
                       "config.pbtxt:1: parameters: " + key + ": " + expected);
  };
  refused("method@gpu", "holds for all pools; write it without '@gpu'");
  refused("execution_timeout_ms@cpu", "holds for all pools");
  refused("placement@gpu", "holds for all pools");
  refused("intra_op_thread_count@gpus", "'@gpus' is no kind of pool; expected @cpu or @gpu");
  CheckConfigRefused(
      "parameters { key: \"INTRA_OP_THREAD_COUNT\" value { string_value: \"1\" } }\n"
      "parameters { key: \"intra_op_thread_count\" value { string_value: \"1\" } }",
      "keep one");
}

TEST_CASE("What cannot be is refused with line and field", "[model_config]") {
  CheckConfigRefused("version_policy { specific { } }",
                     "config.pbtxt:1: specific: it names no version");
  CheckConfigRefused("\nname: \"other\"", "config.pbtxt:2: name");
  CheckConfigRefused("platform: \"onnx\"", "config.pbtxt:1: platform");
  CheckConfigRefused("backend: \"python\"", "config.pbtxt:1: backend");
  CheckConfigRefused("platform: \"synthetic\"\nbackend: \"pytorch\"", "config.pbtxt:2: backend");
  CheckConfigRefused(
      "input { name: \"x\" data_type: TYPE_FP32 dims: [ -1, 4294967296, 4294967296 ] }",
      "shape [-1,4294967296,4294967296] has more elements than memory can hold");
  CheckConfigRefused("input { name: \"x\" data_type: TYPE_FP32 dims: [ 9223372036854775807 ] }",
                     "shape [9223372036854775807] has more elements than memory can hold");
  CheckConfigRefused(
      "input { name: \"x\" data_type: TYPE_STRING dims: [ 4294967296, 4294967296 ] }",
      "shape [4294967296,4294967296] has more elements than memory can hold");
  CheckConfigRefused("\n\nmax_batch_size: -1", "config.pbtxt:3: max_batch_size");
  CheckConfigRefused("\ninput {\n  name: \"x\"\n  dims: [ 1 ]\n}",
                     "config.pbtxt:2: data_type: tensor 'x' has no data type");
  CheckConfigRefused("input {\n  name: \"x\\001y\"\n  data_type: TYPE_FP32\n  dims: [ 1 ]\n}",
                     "config.pbtxt:2: name: the name 'x y' is none for a tensor");
  CheckConfigRefused("input {\n  name: \"x\"\n  data_type: TYPE_FP32\n  dims: [ 0 ]\n}",
                     "config.pbtxt:4: dims");
  CheckConfigRefused("input {\n  name: \"x\"\n  data_type: TYPE_FP32\n  dims: [ 3, 0 ]\n}",
                     "config.pbtxt:4: dims");
  CheckConfigRefused(
      "input {\n  name: \"x\"\n  data_type: TYPE_FP32\n  dims: [ 3, # rows\n 4,\n 0 ]\n}",
      "config.pbtxt:6: dims");
  CheckConfigRefused("input { name: \"x\" data_type: TYPE_FP32\n dims: 3\n dims: 0 }",
                     "config.pbtxt:3: dims");
  CheckConfigRefused("input { name: \"x\" dims: [ 1 ] }", "data_type");
  CheckConfigRefused("max_batch_size: 1\noutput {\n data_type: TYPE_FP32 dims: [ 1 ] }",
                     "config.pbtxt:2: output: a tensor has no name");
  CheckConfigRefused("input { data_type: TYPE_FP32 dims: [ 1 ] }", "name");
  CheckConfigRefused(
      "input [ { name: \"x\" data_type: TYPE_FP32 },\n{ name: \"x\" data_type: TYPE_FP32 } ]",
      "config.pbtxt:2: name");
  CheckConfigRefused("input { name: \"x\" data_type: TYPE_FP32 dims: [1,1,1,1,1,1,1,1,1] }",
                     "dimensions");
  CheckConfigRefused("output { name: \"y\" data_type: TYPE_FP32 reshape { shape: [ 1 ] } }",
                     "reshape");
  CheckConfigRefused("instance_group { kind: KIND_CPU count: -1 }", "config.pbtxt:1: count");
  CheckConfigRefused("dynamic_batching { }", "max_batch_size");
  CheckConfigRefused("max_batch_size: 4\ndynamic_batching {\n preferred_batch_size: [ 8 ] }",
                     "config.pbtxt:3: preferred_batch_size");
  CheckConfigRefused(
      "max_batch_size: 4\ndynamic_batching {\n preferred_batch_size: [ 2,\n4,\n8 ] }",
      "config.pbtxt:5: preferred_batch_size");
  CheckConfigRefused(
      "instance_group [\n  { kind: KIND_CPU },\n  { kind: KIND_CPU\n    count: -1 }\n]",
      "config.pbtxt:4: count");
  CheckConfigRefused("default_model_filename: \"../other/1/model.pt\"", "default_model_filename");
  CheckConfigRefused("version_policy { specific { versions: 0 } }", "version");
  CheckConfigRefused("max_batch_size: many", "config.pbtxt:1:");
  CheckConfigRefused("no_such_field: 1", "no_such_field");
}

TEST_CASE("What Tandem cannot do is refused, what it need not do is noted", "[model_config]") {
  CheckConfigRefused("ensemble_scheduling { }", "config.pbtxt:1: ensemble_scheduling");
  CheckConfigRefused("sequence_batching { }", "sequence_batching");
  CheckConfigRefused("model_transaction_policy { decoupled: true }", "decoupled");
  const auto noted = ParseModelConfig(
      "optimization { }\ninstance_group { kind: KIND_GPU gpus: [ 0 ] }", "model", kBoth);
  REQUIRE(noted.ok());
  REQUIRE(noted->notes.size() == 2);
  CHECK(noted->notes[0] == "config.pbtxt:2: gpus is passed over");
  CHECK(noted->notes[1] == "config.pbtxt:1: optimization is passed over");
}

}  // namespace tandem::server
