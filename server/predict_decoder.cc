#include "server/predict_decoder.h"

#include <grpcpp/support/byte_buffer.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "router/quoted.h"
#include "server/request_decoder.h"
#include "server/tensor_decoder.h"

namespace tandem::server {
namespace {

using v1::ModelCall;
using v1::PredictRequest;

// A fan-out beyond this is a mistake, or an attack.
constexpr int kMostCalls = 256;
// So are more names of a call's tensors, and more outputs that are combined.
constexpr int kMostNames = 1024;
constexpr int kMostMembers = 1024;

// What keeps the bytes of a request's inputs.
struct PredictBytes {
  grpc::ByteBuffer buffer;
  PredictRequest message;
  OwnedBytes owned;
};

absl::Status CallError(const DecodedCall& call, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("call '", call.key, "': ", status.message()));
}

// Which of two equal names a model would get, nobody can tell.
absl::Status CheckNamesDiffer(const std::vector<Tensor>& inputs) {
  std::set<absl::string_view> names;
  for (const Tensor& input : inputs) {
    if (names.insert(input.name).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("input ", Quoted(input.name), ": the request holds it twice"));
  }
  return absl::OkStatus();
}

absl::Status CheckNameCounts(const ModelCall& message) {
  const std::pair<const char*, size_t> counts[] = {{"input_names", message.input_names().size()},
                                                   {"output_names", message.output_names().size()},
                                                   {"outputs", message.outputs().size()}};
  for (const auto& [field, count] : counts) {
    if (count <= kMostNames) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(field, " has ", count, " entries; at most ", kMostNames, " are taken"));
  }
  return absl::OkStatus();
}

absl::Status CheckOutputsKeepNames(const ModelCall& message) {
  for (const auto& [output, name] : message.output_names()) {
    if (!name.empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat("output_names: the name for the output ",
                                                   Quoted(output),
                                                   " is empty; give one, or leave it out"));
  }
  return absl::OkStatus();
}

absl::StatusOr<DecodedCall> DecodeCall(const ModelCall& message, PoolPreference pool,
                                       OwnedBytes* owned) {
  if (message.name().empty()) return absl::InvalidArgumentError("a call names no model");
  DecodedCall call;
  call.message = &message;
  call.pool = pool;
  call.key = message.key().empty() ? message.name() : message.key();
  if (absl::Status status = CheckNameCounts(message); !status.ok()) return CallError(call, status);
  const absl::StatusOr<int64_t> version = ParseVersion(message.version());
  if (!version.ok()) return CallError(call, version.status());
  call.version = *version;
  const std::vector<Pieces> raw = BorrowStrings(message.raw_input_contents());
  absl::StatusOr<std::vector<Tensor>> inputs = DecodeTensors(message.inputs(), raw, owned);
  if (!inputs.ok()) return CallError(call, inputs.status());
  if (absl::Status status = CheckNamesDiffer(*inputs); !status.ok()) return CallError(call, status);
  if (absl::Status status = CheckOutputsKeepNames(message); !status.ok()) {
    return CallError(call, status);
  }
  call.inputs = *std::move(inputs);
  return call;
}

absl::Status DecodeCalls(const PredictRequest& message, OwnedBytes* owned,
                         std::vector<DecodedCall>* calls) {
  const std::pair<const google::protobuf::RepeatedPtrField<ModelCall>&, PoolPreference> lists[] = {
      {message.cpu_models(), PoolPreference::kCpu},
      {message.gpu_models(), PoolPreference::kGpu},
      {message.models(), PoolPreference::kAny}};
  int count = 0;
  for (const auto& [list, pool] : lists) count += list.size();
  if (count == 0) {
    return absl::InvalidArgumentError(
        "the request names no model; name one in cpu_models, gpu_models or models");
  }
  if (count > kMostCalls) {
    return absl::InvalidArgumentError(
        absl::StrCat("the request makes ", count, " calls; at most ", kMostCalls, " are taken"));
  }
  std::set<std::string> keys;
  for (const auto& [list, pool] : lists) {
    for (const ModelCall& call : list) {
      absl::StatusOr<DecodedCall> decoded = DecodeCall(call, pool, owned);
      if (!decoded.ok()) return decoded.status();
      if (!keys.insert(decoded->key).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("two calls have the key '", decoded->key,
                         "'; give each call of the same model a key of its own"));
      }
      calls->push_back(*std::move(decoded));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMembers(const v1::Combine& combine, const std::vector<DecodedCall>& calls) {
  if (combine.members_size() > kMostMembers) {
    return absl::InvalidArgumentError(absl::StrCat("combine: it has ", combine.members_size(),
                                                   " members; at most ", kMostMembers,
                                                   " are taken"));
  }
  std::set<absl::string_view> keys;
  for (const DecodedCall& call : calls) keys.insert(call.key);
  std::set<std::pair<absl::string_view, absl::string_view>> outputs;
  for (const v1::Combine::Member& member : combine.members()) {
    if (!keys.contains(member.key())) {
      return absl::InvalidArgumentError(
          absl::StrCat("combine: no call has the key ", Quoted(member.key())));
    }
    if (!outputs.emplace(member.key(), member.output()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("combine: the call ", Quoted(member.key()),
                       " is twice among its members with the same output; give it a weight"));
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeCombine(const PredictRequest& message, DecodedPredict* predict) {
  switch (message.combine().method()) {
    case v1::Combine::METHOD_NONE:
      predict->combine = CombineMethod::kNone;
      break;
    case v1::Combine::METHOD_MEAN:
      predict->combine = CombineMethod::kMean;
      break;
    case v1::Combine::METHOD_WEIGHTED_MEAN:
      predict->combine = CombineMethod::kWeightedMean;
      break;
    case v1::Combine::METHOD_MAJORITY_VOTE:
      predict->combine = CombineMethod::kMajorityVote;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("combine: unknown method ", static_cast<int>(message.combine().method())));
  }
  return CheckMembers(message.combine(), predict->calls);
}

}  // namespace

absl::StatusOr<DecodedPredict> DecodePredictRequest(const grpc::ByteBuffer& buffer) {
  auto bytes = std::make_shared<PredictBytes>();
  bytes->buffer = buffer;
  const absl::StatusOr<SplitMessage> split =
      SplitRawContents(BufferPieces(bytes->buffer), PredictRequest::kRawInputContentsFieldNumber);
  if (!split.ok()) return split.status();
  PredictRequest& message = bytes->message;
  if (!ParsePieces(split->rest, &message)) {
    return absl::InvalidArgumentError("the request is not a valid PredictRequest message");
  }
  DecodedPredict predict;
  predict.message = &message;
  absl::StatusOr<std::vector<Tensor>> shared =
      DecodeTensors(message.inputs(), split->raw, &bytes->owned);
  if (!shared.ok()) return shared.status();
  if (absl::Status status = CheckNamesDiffer(*shared); !status.ok()) return status;
  predict.shared_inputs = *std::move(shared);
  if (!v1::MergePolicy_IsValid(message.merge_policy())) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown merge_policy ", static_cast<int>(message.merge_policy())));
  }
  predict.policy = message.merge_policy() == v1::MERGE_POLICY_PARTIAL ? MergePolicy::kPartial
                                                                      : MergePolicy::kAll;
  absl::Status status = DecodeCalls(message, &bytes->owned, &predict.calls);
  if (!status.ok()) return status;
  status = DecodeCombine(message, &predict);
  if (!status.ok()) return status;
  predict.keep_alive = std::move(bytes);
  return predict;
}

}  // namespace tandem::server
