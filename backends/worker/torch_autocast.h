// Runs the costly operations of a model in 16 bits, as `autocast` of Python's torch does: matrix
// products and convolutions in bfloat16 or float16, what needs the range in float32.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::worker {

// What the parameter `autocast` says: "bf16", "fp16", or "off", which is as if it were not there.
// INVALID_ARGUMENT: another word.
absl::StatusOr<std::optional<c10::ScalarType>> AutocastType(
    const std::map<std::string, std::string>& parameters);

// While it lives, what its thread runs on that kind of device is cast. Without a type it does
// nothing.
class AutocastScope {
 public:
  AutocastScope(c10::DeviceType device, std::optional<c10::ScalarType> type);
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;
  ~AutocastScope();

 private:
  const c10::DeviceType device_;
  const std::optional<c10::ScalarType> type_;
  c10::ScalarType type_before_ = c10::ScalarType::Undefined;
  bool enabled_before_ = false;
  bool cached_before_ = false;
};

}  // namespace tandem::worker
