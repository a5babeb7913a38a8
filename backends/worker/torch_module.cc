#include "backends/worker/torch_module.h"

#include <caffe2/serialize/read_adapter_interface.h>
#include <sys/stat.h>
#include <torch/csrc/jit/serialization/import.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/worker/torch_errors.h"

namespace tandem::worker {
namespace {

// Reads the descriptor itself: no path is opened, so that what was checked is what is loaded.
class DescriptorReader : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit DescriptorReader(int file) : file_(file) {}

  size_t size() const override {
    struct stat status = {};
    return fstat(file_, &status) == 0 ? static_cast<size_t>(status.st_size) : 0;
  }

  size_t read(uint64_t pos, void* buf, size_t n, const char* /*what*/) const override {
    size_t done = 0;
    while (done < n) {
      const ssize_t step =
          pread(file_, static_cast<char*>(buf) + done, n - done, static_cast<off_t>(pos + done));
      if (step < 0 && errno == EINTR) continue;
      if (step <= 0) break;
      done += static_cast<size_t>(step);
    }
    return done;
  }

 private:
  int file_;
};

std::string MethodNames(const torch::jit::Module& module) {
  std::vector<std::string> names;
  for (const torch::jit::Method& method : module.get_methods()) names.push_back(method.name());
  return absl::StrJoin(names, ", ");
}

torch::jit::Module Optimise(const torch::jit::Module& frozen, const std::string& method) {
  try {
    torch::jit::Module optimised = frozen;
    std::vector<std::string> others;
    if (method != "forward") others.push_back(method);
    return torch::jit::optimize_for_inference(optimised, others);
  } catch (...) {
    // The frozen module gives the same answers.
    return frozen;
  }
}

}  // namespace

absl::StatusOr<LoadedModule> LoadModule(int file, const std::string& method, c10::Device device,
                                        bool optimise) {
  LoadedModule loaded;
  try {
    loaded.module = torch::jit::load(std::make_shared<DescriptorReader>(file), device,
                                     /*load_debug_files=*/false);
    loaded.module.eval();
    if (!loaded.module.find_method(method)) {
      return absl::InvalidArgumentError(absl::StrCat("the model has no method \"", method,
                                                     "\"; it has: ", MethodNames(loaded.module)));
    }
  } catch (...) {
    const absl::Status status = StatusOfCurrentException();
    if (absl::IsResourceExhausted(status)) return status;
    return absl::InvalidArgumentError(
        absl::StrCat("the model file cannot be read as TorchScript: ", status.message()));
  }
  try {
    std::optional<std::vector<std::string>> kept;
    if (method != "forward") kept = {method};
    const torch::jit::Module frozen = torch::jit::freeze(loaded.module, kept);
    loaded.module = optimise ? Optimise(frozen, method) : frozen;
  } catch (...) {
    loaded.not_frozen = std::string(StatusOfCurrentException().message());
  }
  return loaded;
}

}  // namespace tandem::worker
