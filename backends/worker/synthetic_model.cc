#include "backends/worker/synthetic_model.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tandem::worker {
namespace {

using Parameters = std::map<std::string, std::string>;

constexpr std::array<std::pair<absl::string_view, SyntheticMode>, 11> kModes = {{
    {"echo", SyntheticMode::kEcho},
    {"fail", SyntheticMode::kFail},
    {"crash", SyntheticMode::kCrash},
    {"abort", SyntheticMode::kAbort},
    {"exit", SyntheticMode::kExit},
    {"device_lost", SyntheticMode::kDeviceLost},
    {"eat", SyntheticMode::kEat},
    {"hang", SyntheticMode::kHang},
    {"nan", SyntheticMode::kNan},
    {"bad_shape", SyntheticMode::kBadShape},
    {"garbage", SyntheticMode::kGarbage},
}};

// The first of kModes that only make sense for outputs.
constexpr size_t kLoadModes = 8;

// An hour: longer is a mistake, and the arithmetic stays far from overflow.
constexpr double kMostMicroseconds = 3.6e9;

absl::Status BadParameter(absl::string_view name, absl::string_view value,
                          absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", name, " is \"", value, "\"; expected ", expected));
}

absl::Status ParseTime(const Parameters& parameters, const std::string& name,
                       std::chrono::nanoseconds& time) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return absl::OkStatus();
  double microseconds = 0;
  // Written so that NaN fails.
  if (!absl::SimpleAtod(found->second, &microseconds) ||
      !(microseconds >= 0 && microseconds <= kMostMicroseconds)) {
    return BadParameter(name, found->second, "microseconds from 0 to 3600000000");
  }
  time = std::chrono::nanoseconds(static_cast<int64_t>(microseconds * 1000));
  return absl::OkStatus();
}

absl::Status ParseMode(const Parameters& parameters, const std::string& name, size_t count,
                       SyntheticMode& mode) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return absl::OkStatus();
  const auto* const end = kModes.begin() + count;
  const auto* const row = std::find_if(kModes.begin(), end, [&found](const auto& candidate) {
    return candidate.first == found->second;
  });
  if (row != end) {
    mode = row->second;
    return absl::OkStatus();
  }
  std::string expected = "one of";
  for (const auto* each = kModes.begin(); each != end; ++each)
    absl::StrAppend(&expected, " ", each->first);
  return BadParameter(name, found->second, expected);
}

}  // namespace

absl::StatusOr<SyntheticModel> ParseSyntheticModel(const Parameters& parameters) {
  SyntheticModel model;
  absl::Status status = ParseTime(parameters, "alpha_us", model.alpha);
  if (status.ok()) status = ParseTime(parameters, "beta_us", model.beta);
  if (status.ok()) status = ParseTime(parameters, "load_us", model.load_time);
  if (status.ok()) status = ParseMode(parameters, "mode", kModes.size(), model.mode);
  if (status.ok()) status = ParseMode(parameters, "load_mode", kLoadModes, model.load_mode);
  if (!status.ok()) return status;
  if (const auto every = parameters.find("fail_every"); every != parameters.end()) {
    if (!absl::SimpleAtoi(every->second, &model.every) || model.every == 0) {
      return BadParameter("fail_every", every->second, "a whole number from 1 up");
    }
  }
  if (const auto rows = parameters.find("oom_rows"); rows != parameters.end()) {
    if (!absl::SimpleAtoi(rows->second, &model.oom_rows) || model.oom_rows < 1) {
      return BadParameter("oom_rows", rows->second, "a whole number from 1 up");
    }
  }
  if (const auto trigger = parameters.find("trigger"); trigger != parameters.end()) {
    if (trigger->second != "always" && trigger->second != "poison") {
      return BadParameter("trigger", trigger->second, "one of always poison");
    }
    model.needs_poison = trigger->second == "poison";
  }
  return model;
}

}  // namespace tandem::worker
