#include "tests/worker/torch_models.h"

#include <ATen/ops/tensor.h>
#include <sys/mman.h>
#include <torch/csrc/jit/api/module.h>
#include <unistd.h>

#include <cstring>
#include <sstream>
#include <stdexcept>

#include "backends/worker/torch_runtime.h"

namespace tandem::worker {
namespace {

class CollectingSink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override {
    std::vector<std::byte*> places;
    for (OutputTensor& output : outputs) {
      tensors.push_back({std::move(output.name), output.type, output.shape,
                         std::vector<std::byte>(output.bytes)});
    }
    for (HeldTensor& tensor : tensors) places.push_back(tensor.bytes.data());
    return places;
  }

  std::vector<HeldTensor> tensors;
};

}  // namespace

ipc::UniqueFd SaveBytes(const std::string& bytes) {
  ipc::UniqueFd file(memfd_create("model", MFD_CLOEXEC));
  if (write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("cannot write the model");
  }
  return file;
}

ipc::UniqueFd SaveModel(const std::string& methods,
                        const std::map<std::string, std::vector<float>>& buffers) {
  torch::jit::Module module("m");
  for (const auto& [name, values] : buffers) module.register_buffer(name, at::tensor(values));
  module.define(methods);
  std::ostringstream stream;
  module.save(stream);
  return SaveBytes(stream.str());
}

std::unique_ptr<Runtime> MakeCpuRuntime() {
  return std::make_unique<TorchRuntime>(std::make_unique<CpuDevice>());
}

HeldTensor HeldTensor::Strings(const std::vector<std::string>& strings) {
  HeldTensor tensor{"", DataType::kBytes, {static_cast<int64_t>(strings.size())}, {}};
  for (const std::string& string : strings) {
    const auto length = static_cast<uint32_t>(string.size());
    const auto* head = reinterpret_cast<const std::byte*>(&length);
    const auto* text = reinterpret_cast<const std::byte*>(string.data());
    tensor.bytes.insert(tensor.bytes.end(), head, head + sizeof(length));
    tensor.bytes.insert(tensor.bytes.end(), text, text + string.size());
  }
  return tensor;
}

std::vector<std::string> HeldTensor::AsStrings() const {
  std::vector<std::string> strings;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t length = 0;
    std::memcpy(&length, &bytes[at], sizeof(length));
    at += sizeof(length);
    strings.emplace_back(reinterpret_cast<const char*>(bytes.data()) + at, length);
    at += length;
  }
  return strings;
}

absl::StatusOr<std::vector<HeldTensor>> RunOnce(Executor& executor, std::vector<HeldTensor> inputs,
                                                uint32_t lane) {
  std::vector<InputTensor> borrowed;
  for (HeldTensor& input : inputs) {
    borrowed.push_back({input.type, input.shape, input.bytes.data(), input.bytes.size()});
  }
  CollectingSink sink;
  const absl::Status status = executor.Run(lane, borrowed, sink);
  if (!status.ok()) return status;
  return std::move(sink.tensors);
}

absl::StatusOr<std::unique_ptr<Executor>> LoadMethods(Runtime& runtime, const std::string& methods,
                                                      ModelSpec spec) {
  const ipc::UniqueFd file = SaveModel(methods);
  spec.name = "m";
  spec.version = 1;
  spec.file = file.get();
  return runtime.Load(spec);
}

}  // namespace tandem::worker
