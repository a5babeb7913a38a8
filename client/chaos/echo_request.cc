#include "client/chaos/echo_request.h"

#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

constexpr char kPoisonByte = '\xde';

// The number stands in it as well, behind the first byte.
std::string BytesOf(const EchoRequest& request) {
  std::string bytes(kEchoBytes, '\0');
  if (request.poisoned) bytes[0] = kPoisonByte;
  for (int i = 0; i < 8; ++i) bytes[1 + i] = static_cast<char>(request.number >> (8 * i));
  std::mt19937_64 random(request.salt ^ (request.number * 0x9e3779b97f4a7c15));
  for (size_t i = 9; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random());
  return bytes;
}

}  // namespace

const char* ModelOfNumber(uint64_t number) {
  switch (number % 6) {
    case 1:
      return kHangModel;
    case 3:
      return kGarbageModel;
    case 5:
      return kPoisonModel;
    default:
      return kEchoModel;
  }
}

inference::ModelInferRequest MakeMessage(const EchoRequest& request) {
  inference::ModelInferRequest message;
  message.set_model_name(request.model);
  message.set_id(absl::StrCat(request.number));
  inference::ModelInferRequest::InferInputTensor& input = *message.add_inputs();
  input.set_name("INPUT0");
  input.set_datatype("UINT8");
  input.add_shape(1);
  input.add_shape(kEchoBytes);
  message.add_raw_input_contents(BytesOf(request));
  return message;
}

bool IsReplyTo(const EchoRequest& request, const inference::ModelInferResponse& reply) {
  if (reply.id() != absl::StrCat(request.number) || reply.model_name() != request.model ||
      reply.outputs_size() != 1 || reply.raw_output_contents_size() != 1) {
    return false;
  }
  const inference::ModelInferResponse::InferOutputTensor& output = reply.outputs(0);
  return output.name() == "OUTPUT0" && output.datatype() == "UINT8" && output.shape_size() == 2 &&
         output.shape(0) == 1 && output.shape(1) == kEchoBytes &&
         reply.raw_output_contents(0) == BytesOf(request);
}

bool NumberOfId(absl::string_view id, uint64_t* number) { return absl::SimpleAtoi(id, number); }

}  // namespace tandem::client
