#include "backends/worker/model_messages.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backends/ipc/region_layout.h"

namespace tandem::worker {
namespace {

using Messages = google::protobuf::RepeatedPtrField<v1::TensorSpec>;

absl::StatusOr<std::vector<TensorSpec>> SpecsFromMessages(const Messages& messages) {
  std::vector<TensorSpec> specs;
  for (const v1::TensorSpec& message : messages) {
    TensorSpec spec;
    spec.name = message.name();
    spec.type = DataTypeFromNumber(message.data_type());
    if (spec.type == DataType::kInvalid && message.data_type() != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", spec.name, " has the unknown type ", message.data_type()));
    }
    if (message.dims_size() > static_cast<int>(kMaxRank)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", spec.name, " has ",
                                                     message.dims_size(), " dimensions; at most ",
                                                     kMaxRank, " are taken"));
    }
    spec.dims.assign(message.dims().begin(), message.dims().end());
    spec.any_shape = message.any_shape();
    spec.optional = message.optional();
    specs.push_back(std::move(spec));
  }
  return specs;
}

void SpecsToMessages(const std::vector<TensorSpec>& specs, Messages& messages) {
  for (const TensorSpec& spec : specs) {
    v1::TensorSpec& message = *messages.Add();
    message.set_name(spec.name);
    message.set_data_type(static_cast<uint32_t>(spec.type));
    message.mutable_dims()->Add(spec.dims.begin(), spec.dims.end());
    message.set_any_shape(spec.any_shape);
    message.set_optional(spec.optional);
  }
}

}  // namespace

absl::StatusOr<ModelSpec> SpecFromMessage(const v1::LoadModel& message, uint32_t lanes,
                                          uint32_t threads) {
  ModelSpec spec;
  spec.name = message.name();
  spec.version = message.version();
  spec.max_batch_size = message.max_batch_size();
  spec.method = message.method().empty() ? "forward" : message.method();
  spec.parameters.insert(message.parameters().begin(), message.parameters().end());
  spec.lanes = lanes;
  spec.threads = threads;
  const auto own_threads = spec.parameters.find("intra_op_thread_count");
  if (own_threads != spec.parameters.end() &&
      (!absl::SimpleAtoi(own_threads->second, &spec.threads) || spec.threads == 0)) {
    return absl::InvalidArgumentError(absl::StrCat("parameter intra_op_thread_count is \"",
                                                   own_threads->second,
                                                   "\"; expected a number of 1 or more"));
  }
  absl::StatusOr<std::vector<TensorSpec>> inputs = SpecsFromMessages(message.inputs());
  if (!inputs.ok()) return inputs.status();
  spec.inputs = *std::move(inputs);
  absl::StatusOr<std::vector<TensorSpec>> outputs = SpecsFromMessages(message.outputs());
  if (!outputs.ok()) return outputs.status();
  spec.outputs = *std::move(outputs);
  return spec;
}

absl::Status SetFiles(const v1::LoadModel& message, const std::vector<ipc::UniqueFd>& files,
                      ModelSpec& spec) {
  if (message.file_batch_sizes_size() != static_cast<int>(files.size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the server tells of ", message.file_batch_sizes_size(), " files and sent ", files.size()));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const uint32_t size = message.file_batch_sizes(static_cast<int>(i));
    if (size == 0) {
      spec.file = files[i].get();
    } else {
      spec.files_by_batch_size[size] = files[i].get();
    }
  }
  return absl::OkStatus();
}

v1::FromWorker LoadedMessage(uint32_t handle, const Signature& signature, uint64_t load_ns) {
  v1::FromWorker message;
  v1::ModelLoaded& loaded = *message.mutable_model_loaded();
  loaded.set_handle(handle);
  SpecsToMessages(signature.inputs, *loaded.mutable_inputs());
  SpecsToMessages(signature.outputs, *loaded.mutable_outputs());
  loaded.set_load_ns(load_ns);
  return message;
}

v1::FromWorker FailedMessage(uint32_t handle, std::string reason) {
  if (reason.size() > ipc::kMaxErrorBytes) reason.resize(ipc::kMaxErrorBytes);
  // A runtime quotes from the model's file, and what is not UTF-8 would not arrive.
  const auto is_plain = [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; };
  std::replace_if(reason.begin(), reason.end(), std::not_fn(is_plain), '?');
  v1::FromWorker message;
  message.mutable_model_failed()->set_handle(handle);
  message.mutable_model_failed()->set_reason(std::move(reason));
  return message;
}

}  // namespace tandem::worker
