#include "client/tune/tuned_config.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

constexpr char kModel[] = R"(# A net.
name: "net"
max_batch_size: 8  # as it was exported
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
)";

std::string Tuned(const std::string& config, const TuneSetting& setting) {
  const absl::StatusOr<std::string> tuned = WithSetting(config, setting);
  CAPTURE(tuned.status().ToString());
  REQUIRE(tuned.ok());
  return *tuned;
}

TEST_CASE("A setting goes into a configuration, and what else stands there stays", "[tune]") {
  CHECK(Tuned(kModel, {2, 1, 4}) == R"(# A net.
name: "net"
max_batch_size: 4  # as it was exported
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { }
instance_group { kind: KIND_AUTO count: 2 }
parameters { key: "intra_op_thread_count@cpu" value { string_value: "1" } }
)");
}

TEST_CASE("The same setting again changes nothing", "[tune]") {
  const TuneSetting setting{2, 1, 4};
  const std::string once = Tuned(kModel, setting);
  CHECK(Tuned(once, setting) == once);
}

TEST_CASE("What a configuration says already is changed where it stands", "[tune]") {
  const std::string before = R"(max_batch_size: 8
dynamic_batching { max_queue_delay_microseconds: 100 }
instance_group [
	{ kind: KIND_GPU count: 1 },
	{ kind: KIND_CPU   count: 4 }  # all of them
]
parameters { key: "method" value { string_value: "forward" } }
parameters [ { key: "intra_op_thread_count" value: { string_value: "2" } } ]
)";
  CHECK(Tuned(before, {16, 3, 8}) == R"(max_batch_size: 8
dynamic_batching { max_queue_delay_microseconds: 100 }
instance_group [
	{ kind: KIND_GPU count: 1 },
	{ kind: KIND_CPU   count: 16 }  # all of them
]
parameters { key: "method" value { string_value: "forward" } }
parameters [ { key: "intra_op_thread_count" value: { string_value: "3" } } ]
)");
}

TEST_CASE("The threads of CPU pools go before those of all", "[tune]") {
  const std::string tuned = Tuned(
      "parameters { key: \"intra_op_thread_count\" value { string_value: \"4\" } }\n"
      "parameters { key: \"intra_op_thread_count@cpu\" value { string_value: \"2\" } }\n"
      "instance_group { kind: KIND_CPU }",
      {1, 1, 0});
  CHECK(tuned ==
        "parameters { key: \"intra_op_thread_count\" value { string_value: \"4\" } }\n"
        "parameters { key: \"intra_op_thread_count@cpu\" value { string_value: \"1\" } }\n"
        "instance_group { kind: KIND_CPU count: 1 }");
}

TEST_CASE("The sizes of batches that can be tried are told", "[tune]") {
  const auto none = BatchSizesOf("name: \"m\"");
  REQUIRE(none.ok());
  CHECK(none->most == 0);
  CHECK(none->least == 0);
  const auto preferred =
      BatchSizesOf("max_batch_size: 16 dynamic_batching { preferred_batch_size: [ 4, 8 ] }");
  REQUIRE(preferred.ok());
  CHECK(preferred->most == 16);
  CHECK(preferred->least == 8);
}

TEST_CASE("Batches of one row need no batching", "[tune]") {
  CHECK(Tuned(kModel, {1, 2, 1}).find("dynamic_batching") == std::string::npos);
}

TEST_CASE("What cannot be tuned is refused with what to do", "[tune]") {
  const auto refusal = [](const std::string& config) {
    const absl::StatusOr<std::string> tuned = WithSetting(config, {1, 1, 1});
    REQUIRE(absl::IsInvalidArgument(tuned.status()));
    return std::string(tuned.status().message());
  };
  CHECK(refusal("instance_group { kind: KIND_GPU }").find("0 instance groups for CPUs") !=
        std::string::npos);
  CHECK(refusal("instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU } ]").find("make it one") !=
        std::string::npos);
  CHECK(refusal("instance_group { }").find("write kind: KIND_AUTO") != std::string::npos);
  CHECK(refusal("name: \"a\"\nno_such_field: 1").find("config.pbtxt:2:") == 0);
}

TEST_CASE("The difference shows the lines that change and those beside them", "[tune]") {
  CHECK(Difference("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nD\ne\nf\ng\n") ==
        "  c\n- d\n+ D\n  e\n  f\n+ g\n");
  CHECK(Difference("a\nb\n", "a\nb\n").empty());
}

}  // namespace
}  // namespace tandem::client
