#include "backends/worker/package_check.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem::worker {
namespace {

std::string Get(const PackageMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

// "2.11" of "2.11.0+cu130": packages of one minor version share the interface they are linked to.
std::string MinorVersion(const std::string& version) {
  const std::vector<std::string> parts = absl::StrSplit(version, '.');
  return parts.size() < 2 ? version : absl::StrCat(parts[0], ".", parts[1]);
}

// What the compiler calls an instruction set and the kernel a feature.
std::string KernelName(const std::string& isa) { return isa == "avx512" ? "avx512f" : isa; }

absl::Status Mismatch(absl::string_view what, absl::string_view wanted, absl::string_view here) {
  return absl::FailedPreconditionError(absl::StrCat("the compiled model was made for ", what, " ",
                                                    wanted, ", but this worker has ", here,
                                                    "; export it again on such a machine as this"));
}

// The features that the package names: all that were there when it was made, where `tandem export`
// made it; else those that its code was vectorised for.
std::vector<std::string> FeaturesOf(const PackageMetadata& metadata) {
  const std::string all = Get(metadata, "TANDEM_CPU_FEATURES");
  const std::string text = all.empty() ? absl::AsciiStrToLower(Get(metadata, "AOTI_CPU_ISA")) : all;
  std::vector<std::string> features;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (word == "invalid_vec_isa") continue;
    features.push_back(KernelName(std::string(word)));
  }
  return features;
}

}  // namespace

absl::Status CheckPackage(const PackageMetadata& metadata, const PackageHost& host) {
  const std::string device = Get(metadata, "AOTI_DEVICE_KEY");
  if (!device.empty() && device != host.device) return Mismatch("the device", device, host.device);
  const std::string version = Get(metadata, "TANDEM_TORCH_VERSION");
  if (!version.empty() && MinorVersion(version) != MinorVersion(host.torch_version)) {
    return Mismatch("torch", version, absl::StrCat("LibTorch ", host.torch_version));
  }
  const std::string capability = Get(metadata, "AOTI_COMPUTE_CAPABILITY");
  if (host.device == "cuda" && !capability.empty() && capability != host.compute_capability) {
    return Mismatch("GPUs of compute capability", capability, host.compute_capability);
  }
  for (const std::string& feature : FeaturesOf(metadata)) {
    if (host.cpu_features.count(feature) > 0) continue;
    return Mismatch("CPUs with", feature, "a CPU without");
  }
  return absl::OkStatus();
}

}  // namespace tandem::worker
