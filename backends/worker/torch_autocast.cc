#include "backends/worker/torch_autocast.h"

#include <ATen/autocast_mode.h>

#include "absl/strings/str_cat.h"

namespace tandem::worker {

absl::StatusOr<std::optional<c10::ScalarType>> AutocastType(
    const std::map<std::string, std::string>& parameters) {
  const auto found = parameters.find("autocast");
  if (found == parameters.end() || found->second == "off") return std::nullopt;
  if (found->second == "bf16") return c10::ScalarType::BFloat16;
  if (found->second == "fp16") return c10::ScalarType::Half;
  return absl::InvalidArgumentError(
      absl::StrCat("parameter autocast is \"", found->second, "\"; expected bf16, fp16 or off"));
}

AutocastScope::AutocastScope(c10::DeviceType device, std::optional<c10::ScalarType> type)
    : device_(device), type_(type) {
  if (!type_) return;
  type_before_ = at::autocast::get_autocast_dtype(device_);
  enabled_before_ = at::autocast::is_autocast_enabled(device_);
  cached_before_ = at::autocast::is_autocast_cache_enabled();
  at::autocast::set_autocast_dtype(device_, *type_);
  at::autocast::set_autocast_enabled(device_, true);
  // The cache of weights that were cast is one for the process and would outlive the model.
  at::autocast::set_autocast_cache_enabled(false);
}

AutocastScope::~AutocastScope() {
  if (!type_) return;
  at::autocast::set_autocast_cache_enabled(cached_before_);
  at::autocast::set_autocast_enabled(device_, enabled_before_);
  at::autocast::set_autocast_dtype(device_, type_before_);
}

}  // namespace tandem::worker
