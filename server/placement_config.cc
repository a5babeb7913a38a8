#include "server/placement_config.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tandem::server {
namespace {

using inference::ModelInstanceGroup;

constexpr const char* kKey = "placement";

// Whether the instance groups name the kind. Without groups the model may go wherever its placement
// wants it. A pool that is not there is missed aloud when the model is added to the router.
bool NamesKind(const inference::ModelConfig& message, ModelInstanceGroup::Kind kind) {
  const auto& groups = message.instance_group();
  return groups.empty() ||
         std::any_of(groups.begin(), groups.end(), [kind](const ModelInstanceGroup& group) {
           return group.kind() == kind || group.kind() == ModelInstanceGroup::KIND_AUTO ||
                  group.kind() == ModelInstanceGroup::KIND_MODEL;
         });
}

}  // namespace

absl::Status ReadPlacement(const inference::ModelConfig& message, const TextProtoLines& lines,
                           ModelConfig* config) {
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
  const bool may_cpu = NamesKind(message, ModelInstanceGroup::KIND_CPU);
  const bool may_gpu = NamesKind(message, ModelInstanceGroup::KIND_GPU);
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
      if (!may_cpu) return other_kind("CPU");
      break;
    case PlacementMode::kPreferGpu:
      if (!may_gpu) return other_kind("GPU");
      break;
    case PlacementMode::kFallback:
      if (!may_gpu) return other_kind("GPU");
      if (!may_cpu) return other_kind("CPU");
      break;
    case PlacementMode::kAuto:
      break;
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
