#include "server/fallback_config.h"

#include "absl/strings/str_cat.h"

namespace tandem::server {

absl::Status ReadFallback(const inference::ModelConfig& message, const TextProtoLines& lines,
                          PoolKinds pools, ModelConfig* config) {
  const auto parameter = message.parameters().find("fallback");
  if (parameter == message.parameters().end()) return absl::OkStatus();
  const std::string& value = parameter->second.string_value();
  const auto fail = [&](absl::string_view what) {
    return FieldError(lines, message, "parameters", absl::StrCat("fallback: '", value, "' ", what));
  };
  if (value != "never" && value != "on_fault" && value != "on_load") {
    return fail("does not exist; expected one of never, on_fault, on_load");
  }
  if (message.parameters().contains("placement")) {
    return fail("stands beside the parameter placement, which says where the model runs; keep one");
  }
  bool for_gpu = message.instance_group().empty();
  for (const inference::ModelInstanceGroup& group : message.instance_group()) {
    for_gpu = for_gpu || group.kind() != inference::ModelInstanceGroup::KIND_CPU;
  }
  if (!for_gpu) return fail("is for models of GPU pools; instance_group names none");
  if (value == "never") {
    config->on_gpu = true;
    config->on_cpu = false;
    config->placement = PlacementMode::kGpu;
    return absl::OkStatus();
  }
  // The CPU pools hold it too, so that it is there at once.
  config->on_cpu = pools.cpu;
  config->on_gpu = pools.gpu || !pools.cpu;
  config->placement = value == "on_fault" ? PlacementMode::kFallback : PlacementMode::kAuto;
  return absl::OkStatus();
}

}  // namespace tandem::server
