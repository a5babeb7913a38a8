#include "server/server_process.h"

#include <prometheus/registry.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/pool/pool.h"
#include "core/version.h"
#include "router/router.h"
#include "server/front_end.h"
#include "server/log.h"
#include "server/model_repository.h"
#include "server/request_metrics.h"
#include "server/serving_state.h"
#include "server/signals.h"

namespace tandem::server {
namespace {

constexpr Duration kPollLoading = std::chrono::milliseconds(5);
constexpr Duration kPollServing = std::chrono::hours(1);
// For calls that were answered just before the drain ended.
constexpr Duration kLastAnswers = std::chrono::seconds(2);
constexpr Duration kWorkerGrace = std::chrono::seconds(2);

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "tandem: %s\n", std::string(status.message()).c_str());
  return code;
}

// A worker's program: named by the environment, or beside this program.
std::string WorkerProgram(bool gpu) {
  const char* named = std::getenv(gpu ? "TANDEM_WORKER_CUDA" : "TANDEM_WORKER");
  if (named != nullptr) return named;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / (gpu ? "tandem-worker-cuda" : "tandem-worker")).string();
}

PoolOptions MakePoolOptions(const PoolSpec& spec) {
  PoolOptions options;
  options.name = spec.name;
  options.kind = spec.serves;
  options.device = spec.device;
  options.processes = spec.processes;
  options.lanes = spec.lanes;
  options.threads = spec.threads;
  options.cores = spec.cores;
  options.input_arena_bytes = spec.input_arena_bytes;
  options.output_arena_bytes = spec.output_arena_bytes;
  options.program = WorkerProgram(absl::StartsWith(spec.device, "gpu"));
  return options;
}

const char* WorkerStateName(WorkerStatus::State state) {
  switch (state) {
    case WorkerStatus::State::kStarting:
      return "starting";
    case WorkerStatus::State::kReady:
      return "ready";
    case WorkerStatus::State::kRestarting:
      return "restarting";
  }
  return "starting";
}

PoolReport ReportOf(const Pool& pool) {
  PoolReport report{std::string(pool.name()), pool.kind(), std::string(pool.device()), {}};
  for (const WorkerStatus& status : pool.Status()) {
    report.workers.push_back({status.name, WorkerStateName(status.state), status.pid, status.lanes,
                              status.restarts, status.last_exit, status.input_arena_used,
                              status.input_arena_bytes});
  }
  return report;
}

// Owns the parts of the server, in the order in which they may end.
class ServerProcess {
 public:
  explicit ServerProcess(const ServeOptions& options)
      : options_(options),
        log_(MakeLog(options.log_level, options.log_format)),
        registry_(std::make_shared<prometheus::Registry>()),
        metrics_(*registry_),
        router_(clock_, {options.max_queue_length, options.max_bytes_in_flight}, metrics_),
        state_(router_) {
    for (const PoolSpec& spec : options.pools) {
      pools_.push_back(std::make_unique<Pool>(MakePoolOptions(spec),
                                              static_cast<uint32_t>(pools_.size()), router_, log_));
      router_.AddBackend(*pools_.back());
    }
    front_end_ = std::make_unique<FrontEnd>(
        options, clock_, router_, state_, [this] { return Report(); }, registry_);
  }

  // Takes the ports, then starts the workers.
  absl::Status Start() {
    const absl::Status listening = front_end_->Start();
    if (!listening.ok()) return listening;
    return StartPools();
  }

  void Load(const ModelRepository& repository) {
    for (const std::string& note : repository.notes) log_(LogLevel::kInfo, note);
    for (const auto& model : repository.versions) {
      const absl::Status added = router_.AddModel(model);
      if (!added.ok()) log_(LogLevel::kWarning, std::string(added.message()));
    }
    for (const UnusableModel& model : repository.unusable) {
      router_.AddUnusable(model.name, model.version, model.reason);
    }
    state_.AllModelsAdded();
  }

  bool settled() const { return router_.AllModelsSettled(); }

  absl::Status AnnounceReady() {
    front_end_->RefreshHealth();
    for (const PoolReport& pool : Report()) {
      uint32_t lanes = 0;
      for (const WorkerReport& worker : pool.workers) lanes += worker.lanes;
      log_(LogLevel::kInfo, absl::StrCat("pool ", pool.name, ": device ", pool.device, ", serves ",
                                         PoolKindName(pool.kind), " models, ", pool.workers.size(),
                                         " workers, ", lanes, " lanes"));
    }
    for (const ModelStatus& model : router_.Models()) {
      const bool ready = model.state == ModelState::kReady;
      log_(ready ? LogLevel::kInfo : LogLevel::kWarning,
           absl::StrCat("model ", model.name,
                        model.version > 0 ? absl::StrCat(" version ", model.version) : "", ": ",
                        ModelStateName(model.state),
                        ready ? absl::StrCat(" in ", absl::StrJoin(model.pools, ", "))
                              : absl::StrCat(": ", model.reason)));
    }
    const Ports ports = front_end_->ports();
    log_(LogLevel::kInfo,
         absl::StrCat("READY: tandem ", std::string(Version()), " listens on ", options_.address,
                      ", gRPC ", ports.grpc, ", HTTP ", ports.http, ", metrics ", ports.metrics));
    return options_.port_file.empty() ? absl::OkStatus() : WritePortFile(ports);
  }

  // Tells everybody that it ends, and lets what was accepted end.
  void Drain() {
    state_.StartDrain();
    front_end_->RefreshHealth();
    log_(LogLevel::kInfo, "draining: no new requests are taken");
    if (!router_.Drain(options_.drain_timeout)) {
      log_(LogLevel::kWarning, "not all requests ended within the drain timeout");
    }
  }

  void Stop() {
    // First, since this answers what still runs; gRPC's server waits for every answer.
    std::vector<std::future<void>> stopped;
    for (const auto& pool : pools_) {
      stopped.push_back(std::async(std::launch::async, [&pool] { pool->Stop(kWorkerGrace); }));
    }
    for (std::future<void>& stop : stopped) stop.get();
    front_end_->Stop(kLastAnswers);
    log_(LogLevel::kInfo, "stopped");
  }

 private:
  absl::Status StartPools() {
    std::vector<std::future<absl::Status>> started;
    for (const auto& pool : pools_) {
      started.push_back(std::async(std::launch::async, [&pool] { return pool->Start(); }));
    }
    absl::Status first;
    for (std::future<absl::Status>& start : started) first.Update(start.get());
    return first;
  }

  std::vector<PoolReport> Report() const {
    std::vector<PoolReport> reports;
    for (const auto& pool : pools_) reports.push_back(ReportOf(*pool));
    return reports;
  }

  absl::Status WritePortFile(Ports ports) const {
    const std::string text =
        absl::StrCat("{\"grpc\":", ports.grpc, ",\"http\":", ports.http,
                     ",\"metrics\":", ports.metrics, ",\"pid\":", getpid(), "}\n");
    // Under another name first, so that whoever waits for the file reads all of it; a pipe or a
    // device is written to as it is.
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(options_.port_file, error);
    const bool in_place =
        std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
    const std::string draft = in_place ? options_.port_file : options_.port_file + ".new";
    std::ofstream stream(draft);
    stream << text;
    stream.close();
    if (!stream || (!in_place && std::rename(draft.c_str(), options_.port_file.c_str()) != 0)) {
      return absl::UnavailableError(
          absl::StrCat("--port-file=", options_.port_file, ": the file cannot be written"));
    }
    return absl::OkStatus();
  }

  const ServeOptions& options_;
  const LogSink log_;
  const SystemClock clock_;
  // Shared with the metrics' server.
  const std::shared_ptr<prometheus::Registry> registry_;
  RequestMetrics metrics_;
  Router router_;
  ServingState state_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::unique_ptr<FrontEnd> front_end_;
};

PoolKinds KindsOf(const std::vector<PoolSpec>& pools) {
  PoolKinds kinds{false, false};
  for (const PoolSpec& pool : pools) {
    (pool.serves == PoolKind::kCpu ? kinds.cpu : kinds.gpu) = true;
  }
  return kinds;
}

}  // namespace

int RunServer(const ServeOptions& options) {
  Signals signals;
  const absl::StatusOr<ModelRepository> repository =
      ScanModelRepository(options.model_repository, KindsOf(options.pools));
  if (!repository.ok()) return Fail(kExitUsage, repository.status());
  ServerProcess process(options);
  const absl::Status started = process.Start();
  if (!started.ok()) return Fail(kExitFailed, started);
  process.Load(*repository);
  std::optional<int> signal;
  while (!signal.has_value() && !process.settled()) signal = signals.WaitFor(kPollLoading);
  if (!signal.has_value()) {
    const absl::Status announced = process.AnnounceReady();
    if (!announced.ok()) return Fail(kExitFailed, announced);
  }
  while (!signal.has_value()) signal = signals.WaitFor(kPollServing);
  signals.ExitOnNext();
  process.Drain();
  process.Stop();
  return 0;
}

}  // namespace tandem::server
