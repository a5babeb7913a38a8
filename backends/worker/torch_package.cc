#include "backends/worker/torch_package.h"

#include <link.h>
#include <torch/headeronly/version.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_errors.h"

namespace tandem::worker {
namespace {

using torch::inductor::AOTIModelPackageLoader;

// The name under which torch packages a single model.
constexpr char kModelName[] = "model";

std::set<std::string> CpuFeatures() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    // "flags" on x86, "Features" on Arm.
    if (line.rfind("flags", 0) != 0 && line.rfind("Features", 0) != 0) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

// The leaves of the tree of arguments, as torch writes it.
size_t CountLeaves(const std::string& tree) {
  constexpr absl::string_view kLeaf = "\"type\": null";
  size_t count = 0;
  for (size_t at = tree.find(kLeaf.data()); at != std::string::npos;
       at = tree.find(kLeaf.data(), at + 1)) {
    ++count;
  }
  return count;
}

// Notes the folder that a package's code was unpacked into, where the library is such code.
int NoteFolder(dl_phdr_info* library, size_t /*bytes*/, void* folders) {
  const std::filesystem::path folder = std::filesystem::path(library->dlpi_name).parent_path();
  if (folder.parent_path().filename() == "aotinductor") {
    static_cast<std::set<std::filesystem::path>*>(folders)->insert(folder);
  }
  return 0;
}

// LibTorch unpacks a package into a folder for temporary files and removes it with the model. Once
// code for the CPU is mapped, nothing of the folder is needed; what else is there goes with the
// worker (core/worker_scratch.h).
void RemoveUnpacked() {
  std::set<std::filesystem::path> folders;
  dl_iterate_phdr(&NoteFolder, &folders);
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  for (std::filesystem::path folder : folders) {
    std::filesystem::remove_all(folder, error);
    // PREFIX/data/aotinductor around it, and LibTorch's own folder around those.
    for (int level = 0; level < 4; ++level) {
      folder = folder.parent_path();
      if (folder == temporary || !std::filesystem::remove(folder, error)) break;
    }
  }
}

}  // namespace

PackageHost ThisHost(const TorchDevice& device) {
  PackageHost host;
  host.device = device.device().is_cpu() ? "cpu" : "cuda";
  host.torch_version = TORCH_VERSION;
  host.cpu_features = CpuFeatures();
  host.compute_capability = device.compute_capability();
  return host;
}

absl::StatusOr<std::unique_ptr<TorchPackage>> TorchPackage::Load(int file,
                                                                 const TorchDevice& device,
                                                                 uint32_t copies) {
  // The loader wants a path; this one names the open file, whatever happens to the folder.
  const std::string path = absl::StrCat("/proc/self/fd/", file);
  PackageMetadata metadata;
  try {
    metadata = AOTIModelPackageLoader::load_metadata_from_package(path, kModelName);
  } catch (...) {
    return absl::InvalidArgumentError("the model file cannot be read as an AOTInductor package");
  }
  // Before any of its code is loaded.
  if (const absl::Status fits = CheckPackage(metadata, ThisHost(device)); !fits.ok()) return fits;
  try {
    auto loader = std::make_unique<AOTIModelPackageLoader>(
        path, kModelName, /*run_single_threaded=*/false, copies, device.device().index());
    // A GPU's code is read from there when it is first needed.
    if (device.device().is_cpu()) RemoveUnpacked();
    return std::unique_ptr<TorchPackage>(new TorchPackage(std::move(loader)));
  } catch (...) {
    const absl::Status status = StatusOfCurrentException();
    if (absl::IsResourceExhausted(status)) return status;
    return absl::InvalidArgumentError(
        absl::StrCat("the AOTInductor package cannot be loaded: ", status.message()));
  }
}

TorchPackage::TorchPackage(std::unique_ptr<AOTIModelPackageLoader> loader)
    : loader_(std::move(loader)) {
  input_count_ = CountLeaves(loader_->get_call_spec().front());
}

}  // namespace tandem::worker
