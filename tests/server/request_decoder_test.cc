#include "server/request_decoder.h"

#include <string>

#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using inference::ModelInferRequest;

constexpr TimePoint kArrival{std::chrono::seconds(100)};

absl::StatusOr<DecodedRequest> DecodeInfer(const ModelInferRequest& message,
                                           size_t slice_size = 4096) {
  return DecodeInferRequest(MakeBuffer(message.SerializeAsString(), slice_size), kArrival);
}

std::string TensorBytes(const Tensor& tensor) {
  std::string bytes(tensor.byte_size(), '\0');
  CopyBytes(tensor, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

// A request with one typed input of that type and shape [count].
ModelInferRequest TypedRequest(const std::string& datatype, int64_t count) {
  ModelInferRequest request;
  request.set_model_name("echo");
  auto* input = request.add_inputs();
  input->set_name("x");
  input->set_datatype(datatype);
  input->add_shape(count);
  return request;
}

void CheckInferRefused(const ModelInferRequest& message, const std::string& word) {
  const absl::StatusOr<DecodedRequest> decoded = DecodeInfer(message);
  REQUIRE_FALSE(decoded.ok());
  CHECK(absl::IsInvalidArgument(decoded.status()));
  CAPTURE(std::string(decoded.status().message()));
  CHECK(std::string(decoded.status().message()).find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("A raw request is read in full, in one slice or in many", "[request_decoder]") {
  ModelInferRequest message = RawRequest({1, 2, 3});
  message.set_model_version("7");
  message.set_id("mine");
  message.add_outputs()->set_name("y");
  for (const size_t slice_size : {1, 3, 64, 4096}) {
    CAPTURE(slice_size);
    const absl::StatusOr<DecodedRequest> decoded = DecodeInfer(message, slice_size);
    REQUIRE(decoded.ok());
    const InferRequest& request = *decoded->request;
    CHECK(request.model == "echo");
    CHECK(request.version == 7);
    CHECK(decoded->id == "mine");
    CHECK(request.requested_outputs == std::vector<std::string>{"y"});
    CHECK(request.arrival == kArrival);
    CHECK(request.deadline == kNever);
    REQUIRE(request.inputs.size() == 1);
    CHECK(request.inputs[0].name == "x");
    CHECK(request.inputs[0].type == DataType::kFp32);
    CHECK(request.inputs[0].shape == Shape{1, 3});
    CHECK(TensorBytes(request.inputs[0]) == message.raw_input_contents(0));
  }
}

TEST_CASE("A request keeps its bytes when the buffer it came in is gone", "[request_decoder]") {
  absl::StatusOr<DecodedRequest> decoded = DecodeInfer(RawRequest(std::vector<float>(5000, 2.5F)));
  REQUIRE(decoded.ok());
  float last = 0;
  const std::string bytes = TensorBytes(decoded->request->inputs[0]);
  REQUIRE(bytes.size() == 20000);
  bytes.copy(reinterpret_cast<char*>(&last), 4, bytes.size() - 4);
  CHECK(last == 2.5F);
}

TEST_CASE("Typed contents become the bytes of their type", "[request_decoder]") {
  ModelInferRequest message = TypedRequest("INT16", 3);
  for (const int value : {-2, 0, 300}) {
    message.mutable_inputs(0)->mutable_contents()->add_int_contents(value);
  }
  const absl::StatusOr<DecodedRequest> decoded = DecodeInfer(message);
  REQUIRE(decoded.ok());
  CHECK(TensorBytes(decoded->request->inputs[0]) == std::string("\xfe\xff\x00\x00\x2c\x01", 6));

  ModelInferRequest strings = TypedRequest("BYTES", 2);
  strings.mutable_inputs(0)->mutable_contents()->add_bytes_contents("ab");
  strings.mutable_inputs(0)->mutable_contents()->add_bytes_contents("");
  const absl::StatusOr<DecodedRequest> with_strings = DecodeInfer(strings);
  REQUIRE(with_strings.ok());
  CHECK(TensorBytes(with_strings->request->inputs[0]) == std::string("\x02\0\0\0ab\0\0\0\0", 10));
}

TEST_CASE("Typed contents that do not fit their tensor are refused", "[request_decoder]") {
  ModelInferRequest short_one = TypedRequest("FP32", 2);
  short_one.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  CheckInferRefused(short_one, "expected 2");

  ModelInferRequest too_large = TypedRequest("UINT8", 1);
  too_large.mutable_inputs(0)->mutable_contents()->add_uint_contents(256);
  CheckInferRefused(too_large, "256");

  ModelInferRequest mixed = TypedRequest("FP32", 1);
  mixed.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  mixed.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  CheckInferRefused(mixed, "more than one type");

  ModelInferRequest half = TypedRequest("FP16", 1);
  CheckInferRefused(half, "raw_input_contents");

  // Nothing is allocated for elements that were only announced.
  CheckInferRefused(TypedRequest("FP64", int64_t{1} << 60), "got 0");
}

TEST_CASE("Raw contents must be as many as the inputs, and alone", "[request_decoder]") {
  ModelInferRequest extra = RawRequest({1});
  extra.add_raw_input_contents("more");
  CheckInferRefused(extra, "raw_input_contents");

  ModelInferRequest both = RawRequest({1});
  both.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  CheckInferRefused(both, "both");
}

TEST_CASE("Impossible shapes, types and versions are refused by name", "[request_decoder]") {
  ModelInferRequest negative = RawRequest({1});
  negative.mutable_inputs(0)->set_shape(0, -1);
  CheckInferRefused(negative, "model \"echo\": input \"x\"");

  ModelInferRequest huge = RawRequest({1});
  huge.mutable_inputs(0)->set_shape(0, int64_t{1} << 62);
  huge.mutable_inputs(0)->set_shape(1, 16);
  CheckInferRefused(huge, "model \"echo\": input \"x\"");

  ModelInferRequest type = RawRequest({1});
  type.mutable_inputs(0)->set_datatype("FLOAT");
  CheckInferRefused(type, "FLOAT");

  for (const char* version : {"one", "0", "-1", " 1", "99999999999999999999"}) {
    ModelInferRequest versioned = RawRequest({1});
    versioned.set_model_version(version);
    CheckInferRefused(versioned, version);
  }
}

TEST_CASE("Request parameters set timeout, pool and placement", "[request_decoder]") {
  ModelInferRequest message = RawRequest({1});
  (*message.mutable_parameters())["timeout"].set_int64_param(2500);
  (*message.mutable_parameters())["pool"].set_string_param("gpu");
  (*message.mutable_parameters())["tandem_placement"].set_bool_param(true);
  const absl::StatusOr<DecodedRequest> decoded = DecodeInfer(message);
  REQUIRE(decoded.ok());
  CHECK(decoded->request->deadline == kArrival + std::chrono::microseconds(2500));
  CHECK(decoded->request->pool == PoolPreference::kGpu);
  CHECK(decoded->wants_placement);

  (*message.mutable_parameters())["pool"].set_string_param("tpu");
  CheckInferRefused(message, "pool");
  (*message.mutable_parameters())["pool"].set_string_param("cpu");
  (*message.mutable_parameters())["timeout"].set_int64_param(-1);
  CheckInferRefused(message, "timeout");
}

TEST_CASE("A request may name its priority, and who asks for a device is told where it ran",
          "[request_decoder]") {
  ModelInferRequest message = RawRequest({1});
  (*message.mutable_parameters())["priority"].set_uint64_param(3);
  const absl::StatusOr<DecodedRequest> urgent = DecodeInfer(message);
  REQUIRE(urgent.ok());
  CHECK(urgent->request->priority == 3);
  CHECK_FALSE(urgent->wants_placement);
  (*message.mutable_parameters())["device"].set_string_param("cpu");
  CHECK(DecodeInfer(message)->wants_placement);
  (*message.mutable_parameters())["tandem_placement"].set_bool_param(false);
  CHECK_FALSE(DecodeInfer(message)->wants_placement);
  (*message.mutable_parameters())["priority"].set_string_param("high");
  CheckInferRefused(message, "priority");
  (*message.mutable_parameters())["priority"].set_int64_param(-1);
  CheckInferRefused(message, "priority");
}

TEST_CASE("Two words for the device must say the same", "[request_decoder]") {
  inference::ModelInferRequest message;
  message.set_model_name("m");
  (*message.mutable_parameters())["device"].set_string_param("gpu");
  (*message.mutable_parameters())["pool"].set_string_param("cpu");
  CHECK(absl::IsInvalidArgument(DecodeInferRequest(message, TimePoint{}).status()));
  (*message.mutable_parameters())["pool"].set_string_param("gpu");
  CHECK(DecodeInferRequest(message, TimePoint{}).ok());
}

TEST_CASE("A timeout too long to count is none", "[request_decoder]") {
  ModelInferRequest message = RawRequest({1});
  (*message.mutable_parameters())["timeout"].set_int64_param(std::numeric_limits<int64_t>::max());
  const absl::StatusOr<DecodedRequest> decoded = DecodeInfer(message);
  REQUIRE(decoded.ok());
  CHECK(decoded->request->deadline == kNever);
}

TEST_CASE("What the server does not offer is refused, not ignored", "[request_decoder]") {
  ModelInferRequest region = RawRequest({1});
  (*region.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param("r");
  CheckInferRefused(region, "shared memory");

  ModelInferRequest classes = RawRequest({1});
  auto* output = classes.add_outputs();
  output->set_name("y");
  (*output->mutable_parameters())["classification"].set_int64_param(3);
  CheckInferRefused(classes, "classification");
}

TEST_CASE("A buffer that is no message is refused", "[request_decoder]") {
  const auto decoded = DecodeInferRequest(MakeBuffer("\x0a\x05xx", 4), kArrival);
  CHECK(absl::IsInvalidArgument(decoded.status()));
  // Bytes that are no UTF-8 in a string field.
  const auto garbled = DecodeInferRequest(MakeBuffer("\x0a\x02\xff\xfe", 4), kArrival);
  CHECK(absl::IsInvalidArgument(garbled.status()));
}

TEST_CASE("A parsed message is decoded like the wire", "[request_decoder]") {
  const ModelInferRequest message = RawRequest({4, 5});
  const absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(message, kArrival);
  REQUIRE(decoded.ok());
  CHECK(TensorBytes(decoded->request->inputs[0]) == message.raw_input_contents(0));
}

}  // namespace tandem::server
