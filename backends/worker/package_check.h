// Whether a compiled model's code would run here. Pure.
#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"

namespace tandem::worker {

// What a package was compiled for, as it says itself.
using PackageMetadata = std::unordered_map<std::string, std::string>;

// What it would run on.
struct PackageHost {
  // "cpu" or "cuda".
  std::string device;
  // "2.11.0".
  std::string torch_version;
  // As the kernel names them: "avx512f", "amx_tile".
  std::set<std::string> cpu_features;
  // Of a GPU: "90". Empty on the CPU.
  std::string compute_capability;
};

// FAILED_PRECONDITION, with what the package wants and what is here, where its code would not run.
// What it does not tell is not checked.
absl::Status CheckPackage(const PackageMetadata& metadata, const PackageHost& host);

}  // namespace tandem::worker
