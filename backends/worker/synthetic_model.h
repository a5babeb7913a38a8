// What a model of the "synthetic" platform is told by its config's parameters.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::worker {

// How a run, or the load, of a synthetic model ends.
enum class SyntheticMode {
  kEcho,
  // INTERNAL.
  kFail,
  // The process dies: by SIGSEGV, by SIGABRT, by an exit with code 3.
  kCrash,
  kAbort,
  kExit,
  // The device can run nothing more in this process, which ends with the code for it.
  kDeviceLost,
  // Takes memory until it is ended.
  kEat,
  // Never returns.
  kHang,
  // All floating-point outputs are NaN.
  kNan,
  // The outputs have one row too many.
  kBadShape,
  // The outputs are announced with a type that does not exist: a breach of the protocol.
  kGarbage,
};

struct SyntheticModel {
  // A run of n rows takes alpha + n × beta.
  std::chrono::nanoseconds alpha{0};
  std::chrono::nanoseconds beta{0};
  SyntheticMode mode = SyntheticMode::kEcho;
  // The mode holds for each n-th run only; the others echo.
  uint64_t every = 1;
  // The mode holds only for batches with a poisoned row: one that starts, in the first input, with
  // the byte 0xDE or the number 222.
  bool needs_poison = false;
  // A batch of more rows is too much for the memory: RESOURCE_EXHAUSTED. 0: none is.
  int64_t oom_rows = 0;
  // The load takes so long and ends so: kEcho, kFail, kCrash, kAbort, kExit, kDeviceLost, kEat or
  // kHang.
  std::chrono::nanoseconds load_time{0};
  SyntheticMode load_mode = SyntheticMode::kEcho;
};

// From `alpha_us`, `beta_us`, `mode`, `fail_every`, `trigger` ("always" or "poison"), `oom_rows`,
// `load_us`, `load_mode`. Others are left alone. INVALID_ARGUMENT names the parameter, its value,
// and what it may be.
absl::StatusOr<SyntheticModel> ParseSyntheticModel(
    const std::map<std::string, std::string>& parameters);

}  // namespace tandem::worker
