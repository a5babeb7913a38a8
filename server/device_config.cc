#include "server/device_config.h"

#include <cstdint>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/parameter_keys.h"

namespace tandem::server {
namespace {

using inference::ModelOptimizationPolicy;

constexpr absl::string_view kGraphs = "cuda_graphs";
constexpr absl::string_view kAutocast = "autocast";
constexpr absl::string_view kTorchScript = "pytorch_libtorch";

// Each one takes device memory and time to load.
constexpr size_t kMostGraphs = 32;

absl::Status CheckAutocast(absl::string_view key, absl::string_view value,
                           const ModelConfig& config) {
  if (value != "bf16" && value != "fp16" && value != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": '", value, "' does not exist; expected bf16, fp16 or off"));
  }
  if (config.platform != kTorchScript) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": it is for the platform ", kTorchScript, ", not for ", config.platform,
                     "; a compiled model has the precision that it was exported with"));
  }
  return absl::OkStatus();
}

absl::Status CheckGraphs(absl::string_view key, absl::string_view value,
                         const ModelConfig& config) {
  const uint32_t most = config.max_batch_size == 0 ? 1 : config.max_batch_size;
  std::set<uint32_t> sizes;
  for (const absl::string_view part : absl::StrSplit(value, ',')) {
    uint32_t size = 0;
    if (!absl::SimpleAtoi(part, &size) || size < 1 || size > most) {
      return absl::InvalidArgumentError(absl::StrCat(
          key, ": '", value, "': expected batch sizes from 1 to ", most, ", as in 1,8,32"));
    }
    sizes.insert(size);
  }
  if (sizes.size() <= kMostGraphs) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", sizes.size(), " batch sizes; at most ",
                                                 kMostGraphs, " are captured"));
}

// Sizes without a list of them, as Triton's TensorRT backend chooses: small batches gain most.
std::set<uint32_t> UsualSizes(const ModelConfig& config) {
  if (config.max_batch_size == 0) return {1};
  std::set<uint32_t> sizes = {1, config.max_batch_size};
  if (config.preferred_batch_sizes.empty()) {
    sizes.insert({2, 3, 4, 6, 8, 12, 16});
  } else {
    sizes.insert(config.preferred_batch_sizes.begin(), config.preferred_batch_sizes.end());
  }
  sizes.erase(sizes.upper_bound(config.max_batch_size), sizes.end());
  return sizes;
}

// Empty: none are asked for.
absl::StatusOr<std::string> GraphsOf(const ModelOptimizationPolicy::Cuda& cuda,
                                     const ModelConfig& config) {
  if (!cuda.graphs()) return std::string();
  if (cuda.graph_spec().empty()) return absl::StrJoin(UsualSizes(config), ",");
  std::set<int32_t> sizes;
  for (const ModelOptimizationPolicy::Cuda::GraphSpec& spec : cuda.graph_spec()) {
    // 0 is Triton's word for a model without a batch dimension.
    const bool unbatched = config.max_batch_size == 0 && spec.batch_size() == 0;
    sizes.insert(unbatched ? 1 : spec.batch_size());
  }
  const std::string list = absl::StrJoin(sizes, ",");
  if (absl::Status checked = CheckGraphs("graph_spec", list, config); !checked.ok()) return checked;
  return list;
}

absl::Status ReadOptimization(const inference::ModelConfig& message, const TextProtoLines& lines,
                              ModelConfig* config, std::vector<std::string>* notes) {
  if (!message.has_optimization()) return absl::OkStatus();
  const ModelOptimizationPolicy& optimization = message.optimization();
  const absl::StatusOr<std::string> graphs = GraphsOf(optimization.cuda(), *config);
  if (!graphs.ok()) {
    return FieldError(lines, message, "optimization", graphs.status().message());
  }
  if (graphs->empty()) {
    notes->push_back(
        absl::StrCat(lines.Where(message, "optimization"), ": optimization is passed over"));
    return absl::OkStatus();
  }
  notes->push_back(absl::StrCat(lines.Where(message, "optimization"),
                                ": of optimization only cuda.graphs and the batch_size of "
                                "cuda.graph_spec are acted on"));
  for (const auto& [key, value] : config->parameters) {
    if (BaseName(key) != kGraphs) continue;
    return FieldError(lines, message, "optimization",
                      "cuda: graphs stands beside the parameter cuda_graphs; keep one");
  }
  config->parameters[std::string(kGraphs)] = *graphs;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadDeviceConfig(const inference::ModelConfig& message, const TextProtoLines& lines,
                              ModelConfig* config, std::vector<std::string>* notes) {
  for (const auto& [key, value] : config->parameters) {
    absl::Status checked;
    if (BaseName(key) == kAutocast) checked = CheckAutocast(key, value, *config);
    if (BaseName(key) == kGraphs) checked = CheckGraphs(key, value, *config);
    if (!checked.ok()) return FieldError(lines, message, "parameters", checked.message());
  }
  if (absl::Status read = ReadOptimization(message, lines, config, notes); !read.ok()) return read;
  if (config->platform == kTorchScript) return absl::OkStatus();
  for (auto parameter = config->parameters.begin(); parameter != config->parameters.end();) {
    if (BaseName(parameter->first) != kGraphs) {
      ++parameter;
      continue;
    }
    notes->push_back(absl::StrCat("config.pbtxt: CUDA graphs are for the platform ", kTorchScript,
                                  "; passed over for ", config->platform));
    parameter = config->parameters.erase(parameter);
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
