// A bare loop over a TorchScript model, or one that AOTInductor compiled, without a server: what
// the machine gives at most. The server's figures are held against it. Built twice: with LibTorch
// for the CPU, and with CUDA.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iterator>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using torch::inductor::AOTIModelPackageLoader;

struct Options {
  std::string model;
  std::vector<int64_t> shape;
  std::string input_type = "fp32";
  int loops = 1;
  int threads = 1;
  double seconds = 5;
  double warm_up = 1;
  std::string optimize = "freeze";
  bool profiling = true;
  std::string device = "cpu";
  std::string autocast = "off";
  // On a GPU: the input comes from the host's pinned memory and the output goes back there.
  bool copies = true;
};

// What one loop measured.
struct Measured {
  // Microseconds of each run, in the time that counts.
  std::vector<double> latencies;
};

bool IsCompiled(const Options& options) {
  return std::string_view(options.model).ends_with(".pt2");
}

// What is run: one of the two.
struct Model {
  std::optional<torch::jit::Module> script;
  std::unique_ptr<AOTIModelPackageLoader> compiled;
};

torch::jit::Module LoadScript(const Options& options) {
  torch::jit::Module module = torch::jit::load(options.model, c10::Device(options.device));
  module.eval();
  if (options.optimize == "none") return module;
  module = torch::jit::freeze(module);
  if (options.optimize == "freeze") return module;
  return torch::jit::optimize_for_inference(module);
}

// One at a time: packages are unpacked and mapped while they are loaded.
Model Load(const Options& options) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  Model model;
  if (IsCompiled(options)) {
    model.compiled = std::make_unique<AOTIModelPackageLoader>(options.model);
  } else {
    model.script = LoadScript(options);
  }
  return model;
}

// Random numbers, or numbers that any table of embeddings has.
at::Tensor MakeInput(const Options& options) {
  if (options.input_type == "int64") return at::zeros(options.shape, at::TensorOptions(at::kLong));
  return at::rand(options.shape);
}

// One loop's calls. On a GPU it has a stream of its own, and each call waits for it.
class Caller {
 public:
  Caller(const Options& options, Model model)
      : options_(options),
        device_(options.device),
        model_(std::move(model)),
        host_input_(MakeInput(options)),
        device_input_(host_input_.to(device_)) {
    if (options.autocast != "off") {
      at::autocast::set_autocast_dtype(device_.type(),
                                       options.autocast == "bf16" ? at::kBFloat16 : at::kHalf);
      at::autocast::set_autocast_enabled(device_.type(), true);
      at::autocast::set_autocast_cache_enabled(false);
    }
    if (device_.is_cpu()) return;
    const c10::impl::VirtualGuardImpl guard(device_.type());
    guard_.emplace(guard.getStreamFromGlobalPool(c10::Device(device_.type(), 0)));
    if (options.copies) host_input_ = host_input_.pin_memory();
  }

  void Run() {
    if (device_.is_cpu()) {
      Forward(host_input_);
      return;
    }
    if (options_.copies) device_input_ = host_input_.to(device_, /*non_blocking=*/true);
    const at::Tensor output = Forward(device_input_);
    if (options_.copies) {
      if (!host_output_.defined()) {
        host_output_ = at::empty(output.sizes(), at::TensorOptions(at::kFloat)).pin_memory();
      }
      host_output_.copy_(output.to(at::kFloat), /*non_blocking=*/true);
    }
    guard_->current_stream().synchronize();
  }

 private:
  at::Tensor Forward(const at::Tensor& input) {
    if (model_.compiled != nullptr) return model_.compiled->run({input}).front();
    return model_.script->forward({input}).toTensor();
  }

  const Options& options_;
  const c10::Device device_;
  Model model_;
  at::Tensor host_input_;
  at::Tensor device_input_;
  at::Tensor host_output_;
  std::optional<c10::StreamGuard> guard_;
};

void Loop(const Options& options, std::latch& loaded, Measured& measured) {
  at::set_num_threads(options.threads);
  at::globalContext().setFlushDenormal(true);
  const c10::InferenceMode inference;
  Caller caller(options, Load(options));
  // Models are loaded one after the other; the time of all begins when the last is there.
  loaded.arrive_and_wait();
  const Clock::time_point start = Clock::now();
  const auto seconds = [](double value) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
  };
  const Clock::time_point count_from = start + seconds(options.warm_up);
  const Clock::time_point end = count_from + seconds(options.seconds);
  for (Clock::time_point before = Clock::now(); before < end;) {
    caller.Run();
    const Clock::time_point after = Clock::now();
    if (before >= count_from) {
      measured.latencies.push_back(
          std::chrono::duration<double, std::micro>(after - before).count());
    }
    before = after;
  }
}

double Quantile(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
}

int Run(const Options& options) {
  at::set_num_interop_threads(1);
  torch::jit::getProfilingMode() = options.profiling;
  (void)Load(options);
  std::vector<Measured> measured(static_cast<size_t>(options.loops));
  std::vector<std::thread> loops;
  std::latch loaded(options.loops);
  for (Measured& one : measured) loops.emplace_back([&] { Loop(options, loaded, one); });
  for (std::thread& loop : loops) loop.join();
  std::vector<double> all;
  for (const Measured& one : measured) {
    all.insert(all.end(), one.latencies.begin(), one.latencies.end());
  }
  if (all.empty()) {
    std::fprintf(stderr, "no run ended within the time; give more --seconds\n");
    return 1;
  }
  std::sort(all.begin(), all.end());
  const auto runs = static_cast<double>(all.size());
  const auto batch = static_cast<double>(options.shape.front());
  std::printf(
      "{\"loops\": %d, \"threads\": %d, \"optimize\": \"%s\", \"runs\": %zu, \"runs_per_second\": "
      "%.2f, "
      "\"rows_per_second\": %.2f, \"latency_us\": {\"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, "
      "\"max\": %.2f}}\n",
      options.loops, options.threads, options.optimize.c_str(), all.size(), runs / options.seconds,
      runs * batch / options.seconds, Quantile(all, 0.5), Quantile(all, 0.9), Quantile(all, 0.99),
      all.back());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Runs a model in a bare loop and prints its throughput as JSON"};
  app.add_option("--model", options.model, "TorchScript file, or a package of AOTInductor's (.pt2)")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--input-shape", options.shape, "Shape of the input, as in 1,3,224,224")
      ->required()
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--input-type", options.input_type, "fp32 or int64 (zeros)")
      ->check(CLI::IsMember({"fp32", "int64"}));
  app.add_option("--loops", options.loops, "Loops that run at the same time, each with a copy")
      ->check(CLI::Range(1, 1024));
  app.add_option("--threads", options.threads, "Intra-op threads of each loop")
      ->check(CLI::Range(1, 1024));
  app.add_option("--seconds", options.seconds, "Time that counts")->check(CLI::PositiveNumber);
  app.add_option("--warm-up", options.warm_up, "Seconds before it")->check(CLI::NonNegativeNumber);
  app.add_option("--optimize", options.optimize, "none, freeze or inference")
      ->check(CLI::IsMember({"none", "freeze", "inference"}));
  app.add_option("--device", options.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--autocast", options.autocast, "off, bf16 or fp16")
      ->check(CLI::IsMember({"off", "bf16", "fp16"}));
  app.add_option("--copies", options.copies, "On a GPU, copy input and output in each run");
  app.add_option("--profiling", options.profiling, "Use TorchScript's profiling executor");
  CLI11_PARSE(app, argc, argv);
  try {
    return Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
