#include "server/model_config_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/printable.h"
#include "core/shape.h"
#include "model_config.pb.h"
#include "server/batching_config.h"
#include "server/device_config.h"
#include "server/fallback_config.h"
#include "server/model_config_limits.h"
#include "server/parameter_keys.h"
#include "server/placement_config.h"
#include "server/pool_spec.h"
#include "server/text_proto.h"

namespace tandem::server {
namespace {

// A day.
constexpr int64_t kMostExecutionMs = 86'400'000;

using inference::ModelInstanceGroup;

constexpr uint32_t kLargestBatch = 1u << 20;
constexpr int32_t kMostInstances = 1024;
constexpr uint32_t kMostIntraOpThreads = 1024;

absl::Status ReadPlatform(const inference::ModelConfig& message, const TextProtoLines& lines,
                          ModelConfig* config) {
  if (!message.backend().empty() && message.backend() != "pytorch") {
    return FieldError(lines, message, "backend",
                      absl::StrCat("'", message.backend(), "' is not offered; expected pytorch"));
  }
  config->platform = message.platform().empty() ? "pytorch_libtorch" : message.platform();
  if (config->platform != "pytorch_libtorch" && config->platform != "torch_aoti" &&
      config->platform != "synthetic") {
    return FieldError(
        lines, message, "platform",
        absl::StrCat("'", config->platform,
                     "' is not offered; expected pytorch_libtorch, torch_aoti or synthetic"));
  }
  if (config->platform == "synthetic" && !message.backend().empty()) {
    return FieldError(lines, message, "backend",
                      "'pytorch' does not run models of the platform 'synthetic'; leave it out");
  }
  return absl::OkStatus();
}

absl::Status ReadMaxBatchSize(const inference::ModelConfig& message, const TextProtoLines& lines,
                              ModelConfig* config) {
  if (message.max_batch_size() < 0 ||
      static_cast<uint32_t>(message.max_batch_size()) > kLargestBatch) {
    return FieldError(lines, message, "max_batch_size",
                      absl::StrCat("expected a number from 0 to ", kLargestBatch, ", got ",
                                   message.max_batch_size()));
  }
  config->max_batch_size = static_cast<uint32_t>(message.max_batch_size());
  return absl::OkStatus();
}

// Works for ModelInput and ModelOutput.
template <typename Tensor>
absl::Status ReadTensor(const Tensor& message, const TextProtoLines& lines, bool batched,
                        TensorSpec* spec) {
  spec->name = message.name();
  if (message.data_type() == inference::TYPE_INVALID ||
      !inference::DataType_IsValid(message.data_type())) {
    return FieldError(
        lines, message, "data_type",
        absl::StrCat("tensor '", spec->name, "' has no data type; expected one such as TYPE_FP32"));
  }
  spec->type = DataTypeFromNumber(static_cast<uint32_t>(message.data_type()));
  if (message.has_reshape()) {
    return FieldError(lines, message, "reshape", "reshaping is not offered");
  }
  if (message.is_shape_tensor()) {
    return FieldError(lines, message, "is_shape_tensor", "shape tensors are not offered");
  }
  const size_t rank = static_cast<size_t>(message.dims_size()) + (batched ? 1 : 0);
  if (rank > kMaxRank) {
    return FieldError(lines, message, "dims",
                      absl::StrCat("tensor '", spec->name, "' has ", rank, " dimensions; at most ",
                                   kMaxRank, " are taken"));
  }
  for (int i = 0; i < message.dims_size(); ++i) {
    const int64_t dim = message.dims(i);
    if (dim < 1 && dim != -1) {
      return FieldError(lines, message, "dims",
                        absl::StrCat("tensor '", spec->name, "' has the dimension ", dim,
                                     "; expected 1 or more, or -1 for any"),
                        i);
    }
    spec->dims.push_back(dim);
  }
  Shape least = spec->dims;
  std::replace(least.begin(), least.end(), int64_t{-1}, int64_t{1});
  const absl::Status counted = spec->type == DataType::kBytes
                                   ? ElementCount(least).status()
                                   : ByteSize(spec->type, least).status();
  if (!counted.ok()) {
    return FieldError(lines, message, "dims",
                      absl::StrCat("tensor '", spec->name, "' of shape ", ShapeToString(spec->dims),
                                   " has more elements than memory can hold"));
  }
  return absl::OkStatus();
}

template <typename Tensors>
absl::Status ReadTensors(const inference::ModelConfig& message, const Tensors& tensors,
                         absl::string_view field, const TextProtoLines& lines,
                         const ModelConfig& config, std::vector<TensorSpec>* specs) {
  std::set<std::string> names;
  for (int i = 0; i < tensors.size(); ++i) {
    TensorSpec& spec = specs->emplace_back();
    const TextProtoLines inner = lines.Nested(message, field, i);
    if (tensors[i].name().empty()) {
      return FieldError(lines, message, field, "a tensor has no name", i);
    }
    if (!IsTensorName(tensors[i].name())) {
      return FieldError(inner, tensors[i], "name",
                        absl::StrCat("the name '", Excerpt(tensors[i].name()),
                                     "' is none for a tensor: expected printable UTF-8 of at most ",
                                     kMaxTensorNameBytes, " bytes"));
    }
    const absl::Status read = ReadTensor(tensors[i], inner, config.max_batch_size > 0, &spec);
    if (!read.ok()) return read;
    if (!names.insert(spec.name).second) {
      return FieldError(inner, tensors[i], "name",
                        absl::StrCat("two tensors of ", field, " have the name '", spec.name, "'"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadInputs(const inference::ModelConfig& message, const TextProtoLines& lines,
                        ModelConfig* config) {
  const absl::Status read =
      ReadTensors(message, message.input(), "input", lines, *config, &config->inputs);
  if (!read.ok()) return read;
  for (int i = 0; i < message.input_size(); ++i) {
    const inference::ModelInput& input = message.input(i);
    if (input.allow_ragged_batch()) {
      return FieldError(lines.Nested(message, "input", i), input, "allow_ragged_batch",
                        "ragged batches are not offered");
    }
    config->inputs[static_cast<size_t>(i)].optional = input.optional();
  }
  return absl::OkStatus();
}

absl::Status ReadInstanceGroups(const inference::ModelConfig& message, const TextProtoLines& lines,
                                PoolKinds pools, ModelConfig* config) {
  if (message.instance_group().empty()) {
    config->on_cpu = pools.cpu;
    config->on_gpu = pools.gpu;
    return absl::OkStatus();
  }
  config->on_cpu = false;
  config->on_gpu = false;
  bool all_cpu = false;
  bool all_gpu = false;
  for (int i = 0; i < message.instance_group_size(); ++i) {
    const ModelInstanceGroup& group = message.instance_group(i);
    const TextProtoLines inner = lines.Nested(message, "instance_group", i);
    if (group.count() < 0 || group.count() > kMostInstances) {
      return FieldError(
          inner, group, "count",
          absl::StrCat("expected a number from 0 to ", kMostInstances, ", got ", group.count()));
    }
    if (!ModelInstanceGroup::Kind_IsValid(group.kind())) {
      return FieldError(inner, group, "kind",
                        absl::StrCat("expected KIND_CPU, KIND_GPU or KIND_AUTO, got ",
                                     static_cast<int>(group.kind())));
    }
    const bool anywhere = group.kind() == ModelInstanceGroup::KIND_AUTO ||
                          group.kind() == ModelInstanceGroup::KIND_MODEL;
    const auto count = static_cast<uint32_t>(group.count());
    if (group.kind() == ModelInstanceGroup::KIND_CPU || (anywhere && pools.cpu)) {
      config->on_cpu = true;
      config->instances_cpu += count;
      all_cpu |= count == 0;
    }
    if (group.kind() == ModelInstanceGroup::KIND_GPU || (anywhere && pools.gpu)) {
      config->on_gpu = true;
      config->instances_gpu += count;
      all_gpu |= count == 0;
    }
  }
  if (all_cpu) config->instances_cpu = 0;
  if (all_gpu) config->instances_gpu = 0;
  return absl::OkStatus();
}

absl::Status ReadVersionPolicy(const inference::ModelConfig& message, const TextProtoLines& lines,
                               VersionPolicy* policy) {
  const inference::ModelVersionPolicy& given = message.version_policy();
  const TextProtoLines inner = lines.Nested(message, "version_policy");
  if (given.has_all()) {
    policy->kind = VersionPolicy::Kind::kAll;
  } else if (given.has_specific()) {
    policy->kind = VersionPolicy::Kind::kSpecific;
    policy->versions.assign(given.specific().versions().begin(), given.specific().versions().end());
    if (policy->versions.empty()) {
      return FieldError(inner, given, "specific", "it names no version; expected versions: [ … ]");
    }
    for (const int64_t version : policy->versions) {
      if (version < 1) {
        return FieldError(inner, given, "specific",
                          absl::StrCat("a version is a number of 1 or more, got ", version));
      }
    }
  } else if (given.has_latest()) {
    policy->count = std::max<uint32_t>(1, given.latest().num_versions());
  }
  return absl::OkStatus();
}

absl::Status ReadParameters(const inference::ModelConfig& message, const TextProtoLines& lines,
                            ModelConfig* config) {
  for (const auto& [given, parameter] : message.parameters()) {
    const std::string key = OwnKey(given);
    const std::string& value = parameter.string_value();
    if (key == "method" && !value.empty()) config->method = value;
    if (key == "execution_timeout_ms") {
      int64_t milliseconds = 0;
      if (!absl::SimpleAtoi(value, &milliseconds) || milliseconds < 1 ||
          milliseconds > kMostExecutionMs) {
        return FieldError(lines, message, "parameters",
                          absl::StrCat("execution_timeout_ms: expected 1 to ", kMostExecutionMs,
                                       " milliseconds, got '", value, "'"));
      }
      config->execution_timeout = std::chrono::milliseconds(milliseconds);
    }
    if (BaseName(key) == "intra_op_thread_count") {
      uint32_t threads = 0;
      if (!absl::SimpleAtoi(value, &threads) || threads < 1 || threads > kMostIntraOpThreads) {
        return FieldError(lines, message, "parameters",
                          absl::StrCat(given, ": expected 1 to ", kMostIntraOpThreads,
                                       " threads, got '", value, "'"));
      }
    }
    config->parameters[key] = value;
  }
  return absl::OkStatus();
}

absl::Status ReadModelFile(const inference::ModelConfig& message, const TextProtoLines& lines,
                           std::string* file) {
  if (message.default_model_filename().empty()) return absl::OkStatus();
  if (!IsValidName(message.default_model_filename())) {
    return FieldError(lines, message, "default_model_filename",
                      "expected a file name of letters, digits, '_', '.' and '-'");
  }
  *file = message.default_model_filename();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfigFile> ParseModelConfig(absl::string_view text, const std::string& folder,
                                                 PoolKinds pools) {
  TextProtoFile parser("config.pbtxt");
  inference::ModelConfig message;
  absl::Status status = parser.Parse(text, &message);
  if (!status.ok()) return status;
  const TextProtoLines& lines = parser.lines();
  if (!message.name().empty() && message.name() != folder) {
    return FieldError(
        lines, message, "name",
        absl::StrCat("'", message.name(), "' differs from the folder's name '", folder, "'"));
  }
  ModelConfigFile file;
  ModelConfig& config = file.config;
  config.name = folder;
  if (status = RefuseUnoffered(message, lines, &file.notes); !status.ok()) return status;
  if (status = ReadPlatform(message, lines, &config); !status.ok()) return status;
  if (status = ReadMaxBatchSize(message, lines, &config); !status.ok()) return status;
  if (status = ReadInputs(message, lines, &config); !status.ok()) return status;
  status = ReadTensors(message, message.output(), "output", lines, config, &config.outputs);
  if (!status.ok()) return status;
  if (status = ReadInstanceGroups(message, lines, pools, &config); !status.ok()) return status;
  if (status = ReadPlacement(message, lines, &config); !status.ok()) return status;
  if (status = ReadBatching(message, lines, &config); !status.ok()) return status;
  if (status = ReadVersionPolicy(message, lines, &file.versions); !status.ok()) return status;
  if (status = ReadModelFile(message, lines, &file.model_file); !status.ok()) return status;
  if (config.platform == "torch_aoti" && message.default_model_filename().empty()) {
    file.model_file = "model.pt2";
  }
  status = CheckParameterKeys(message, lines, config.platform, &file.notes);
  if (!status.ok()) return status;
  if (status = ReadParameters(message, lines, &config); !status.ok()) return status;
  if (status = ReadDeviceConfig(message, lines, &config, &file.notes); !status.ok()) return status;
  if (status = ReadFallback(message, lines, pools, &config); !status.ok()) return status;
  return file;
}

ModelConfigFile DefaultModelConfig(const std::string& folder, PoolKinds pools) {
  ModelConfigFile file;
  file.config.name = folder;
  file.config.platform = "pytorch_libtorch";
  file.config.on_cpu = pools.cpu;
  file.config.on_gpu = pools.gpu;
  return file;
}

}  // namespace tandem::server
