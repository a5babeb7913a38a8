#include "server/placement_config.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tandem::server {
namespace {

constexpr const char* kKey = "placement";

}  // namespace

absl::Status ReadPlacement(const inference::ModelConfig& message, const TextProtoLines& lines,
                           PoolKinds pools, ModelConfig* config) {
  const auto parameter = message.parameters().find(kKey);
  if (parameter == message.parameters().end()) return absl::OkStatus();
  const std::string& value = parameter->second.string_value();
  const auto fail = [&](absl::string_view what) {
    return FieldError(lines, message, "parameters",
                      absl::StrCat("placement: '", value, "' ", what));
  };
  const auto* const name = std::find(kPlacementModeNames.begin(), kPlacementModeNames.end(), value);
  if (name == kPlacementModeNames.end()) {
    return fail(
        absl::StrCat("does not exist; expected one of ", absl::StrJoin(kPlacementModeNames, ", ")));
  }
  config->placement = static_cast<PlacementMode>(name - kPlacementModeNames.begin());
  // Without instance groups the model may go wherever its placement wants it, and a pool that is
  // not there is missed aloud.
  const bool open = message.instance_group().empty();
  const bool may_cpu = open || config->on_cpu;
  const bool may_gpu = open || config->on_gpu;
  const auto other_kind = [&](const char* kind) {
    return fail(absl::StrCat("contradicts instance_group, which has no KIND_", kind));
  };
  switch (config->placement) {
    case PlacementMode::kCpu:
      if (!may_cpu) return other_kind("CPU");
      config->on_cpu = true;
      config->on_gpu = false;
      break;
    case PlacementMode::kGpu:
      if (!may_gpu) return other_kind("GPU");
      config->on_gpu = true;
      config->on_cpu = false;
      break;
    case PlacementMode::kPreferCpu:
      if (!may_cpu && pools.cpu) return other_kind("CPU");
      break;
    case PlacementMode::kPreferGpu:
      if (!may_gpu && pools.gpu) return other_kind("GPU");
      break;
    case PlacementMode::kFallback:
      if (!may_cpu && pools.cpu) return other_kind("CPU");
      break;
    case PlacementMode::kAuto:
      break;
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
