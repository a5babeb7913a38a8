#include "server/server_process.h"

#include <malloc.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/pool/pool.h"
#include "core/version.h"
#include "router/router.h"
#include "server/core_plan.h"
#include "server/cost_file.h"
#include "server/descriptor_limit.h"
#include "server/front_end.h"
#include "server/idle_memory.h"
#include "server/log.h"
#include "server/machine.h"
#include "server/model_control.h"
#include "server/model_repository.h"
#include "server/pool_setup.h"
#include "server/port_file.h"
#include "server/process_usage.h"
#include "server/reload.h"
#include "server/request_metrics.h"
#include "server/serving_state.h"
#include "server/signals.h"
#include "server/take_over.h"

namespace tandem::server {
namespace {

constexpr Duration kPollLoading = std::chrono::milliseconds(5);
constexpr Duration kSaveCosts = std::chrono::minutes(1);
constexpr Duration kLookAtMemory = std::chrono::seconds(5);
// For answers that are on their way when the drain's time is over.
constexpr Duration kLastAnswers = std::chrono::seconds(2);
constexpr Duration kWorkerGrace = std::chrono::seconds(2);

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "tandem: %s\n", std::string(status.message()).c_str());
  return code;
}

RouterOptions LimitsOf(const ServeOptions& options) {
  return {options.max_queue_length, options.max_bytes_in_flight, options.restart_patience,
          options.quarantine, options.max_queue_bytes};
}

// Owns the parts of the server, in the order in which they may end.
class ServerProcess {
 public:
  // `old`: the server to take the ports over from. `descriptors`: as many as the process may have.
  // `model_files`: those of the models that it starts with.
  ServerProcess(const ServeOptions& options, const std::optional<RunningServer>& old,
                uint64_t descriptors, size_t model_files)
      : options_(options),
        old_(old),
        log_file_(options.log_level, options.log_format),
        log_(log_file_.sink()),
        metrics_(registry_, log_),
        router_(clock_, LimitsOf(options), metrics_),
        state_(router_),
        models_(options, router_, log_) {
    TakeProtobufLog(log_);
    for (const PoolSpec& spec : options.pools) {
      pools_.push_back(std::make_unique<Pool>(MakePoolOptions(spec, options),
                                              static_cast<uint32_t>(pools_.size()), router_, log_));
      router_.AddBackend(*pools_.back());
    }
    ServeOptions listened = options;
    listened.max_connections = LimitConnections(descriptors, model_files);
    if (old.has_value()) {
      listened.grpc_port = old->ports.grpc;
      listened.http_port = old->ports.http;
      listened.metrics_port = old->ports.metrics;
    }
    front_end_ = std::make_unique<FrontEnd>(
        listened, clock_, router_, state_, models_, [this] { return Report(); }, registry_,
        old.has_value(), log_);
  }

  // Nothing may wait for models that will not come any more.
  ~ServerProcess() { models_.Stop(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Takes the ports, and begins to start the workers. Where another server has the ports, it keeps
  // them until the models are ready.
  absl::Status Start(const ModelRepository& repository) {
    if (!old_.has_value()) {
      const absl::Status listening = front_end_->Start();
      if (!listening.ok()) return listening;
    }
    // Before the workers: the first that is up loads while the others start still.
    models_.Start(repository);
    RestoreCosts();
    for (const auto& pool : pools_) {
      starting_.push_back(std::async([&pool] { return pool->Start(); }));
    }
    return absl::OkStatus();
  }

  // How the workers' start has ended; none: it goes on.
  std::optional<absl::Status> EndOfStart() {
    for (std::future<absl::Status>& pool : starting_) {
      if (pool.wait_for(Duration{0}) == std::future_status::timeout) return std::nullopt;
    }
    absl::Status first;
    for (std::future<absl::Status>& pool : starting_) first.Update(pool.get());
    starting_.clear();
    if (first.ok()) state_.AllWorkersStarted();
    return first;
  }

  // Once ready. Nothing happens where there is no old server.
  absl::Status TakeOver() {
    if (!old_.has_value()) return absl::OkStatus();
    const std::vector<ModelStatus> models = router_.Models();
    const auto is_ready = [](const ModelStatus& model) {
      return model.state == ModelState::kReady;
    };
    if (!models.empty() && std::none_of(models.begin(), models.end(), is_ready)) {
      return absl::UnavailableError(absl::StrCat(
          "none of the models is ready, so the server of process ", old_->process,
          " keeps the ports; the first is model ", models[0].name, ": ", models[0].reason));
    }
    return TakePorts(
        *old_, options_.address, [this] { return front_end_->Start(); }, log_);
  }

  // The old server is not needed any more.
  void DismissOld() {
    if (!old_.has_value()) return;
    Dismiss(*old_);
    log_(LogLevel::kInfo, absl::StrCat("the ports were taken over from process ", old_->process));
  }

  // Another server wants to take over.
  void Share() {
    const absl::Status shared = SharePorts(front_end_->ports());
    log_(shared.ok() ? LogLevel::kInfo : LogLevel::kError,
         shared.ok() ? "the ports may be taken over by another server"
                     : std::string(shared.message()));
  }

  // Where another server has taken over: serves the connections that are left until they have gone
  // there too.
  void ServeOutConnections(const std::function<bool(Duration)>& is_over) {
    const Ports ports = front_end_->ports();
    if (!AreTakenOver(ports)) return;
    log_(LogLevel::kInfo, "another server has taken over the ports; waiting for connections to go");
    // gRPC spreads the ages by a tenth.
    ServeOut(
        ports, options_.max_connection_age * 6 / 5, [this] { front_end_->StopListening(); },
        is_over);
  }

  // Its workers end with it.
  [[noreturn]] void EndAtOnce() const {
    log_(LogLevel::kWarning, "SIGQUIT: the server ends at once, and drops what it has accepted");
    Signals::ExitBy(SIGQUIT);
  }

  // What was learnt, for the next start.
  void SaveCosts() const {
    if (options_.state_file.empty()) return;
    const absl::Status saved = WriteCosts(options_.state_file, router_.Models());
    if (!saved.ok()) log_(LogLevel::kWarning, std::string(saved.message()));
  }

  void GiveIdleMemoryBack() {
    const std::optional<ProcessUsage> before = ReadProcessUsage(0);
    if (!before.has_value() || !idle_memory_.IsWorthwhile(before->resident_bytes)) return;
    malloc_trim(0);
    const std::optional<ProcessUsage> after = ReadProcessUsage(0);
    if (after.has_value()) idle_memory_.OnGivenBack(after->resident_bytes);
  }

  bool ready() const { return state_.ready(); }

  absl::Status AnnounceReady() {
    front_end_->RefreshHealth();
    for (const std::string& row : MachineTable(options_)) {
      log_(LogLevel::kInfo, row);
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
    return options_.port_file.empty() ? absl::OkStatus() : WritePortFile(options_.port_file, ports);
  }

  // Takes over what may change while the server runs, and has the model repository read again.
  void Reload(const absl::StatusOr<ServeOptions>& options) {
    TakeOptions(options);
    models_.Refresh();
  }

  // Tells everybody that it ends, and lets what was accepted end.
  void Drain() {
    state_.StartDrain();
    models_.Stop();
    front_end_->Drain();
    if (!options_.port_file.empty()) RemovePortFile(options_.port_file, front_end_->ports());
    drained_at_ = clock_.Now() + options_.drain_timeout;
    log_(LogLevel::kInfo, "draining: no new requests are taken");
    if (!router_.Drain(options_.drain_timeout)) {
      log_(LogLevel::kWarning, "not all requests ended within the drain timeout");
    }
  }

  void Stop() {
    // First, since this answers what still runs; gRPC's server waits for every answer. Where the
    // system has no threads left, one after the other.
    std::vector<std::future<void>> stopped;
    for (const auto& pool : pools_) {
      stopped.push_back(std::async([&pool] { pool->Stop(kWorkerGrace); }));
    }
    for (std::future<void>& stop : stopped) stop.get();
    // Accepted requests have answers now, and some clients take their time to read those.
    front_end_->Stop(std::max(kLastAnswers, drained_at_ - clock_.Now()));
    log_(LogLevel::kInfo, "stopped");
  }

 private:
  uint32_t LimitConnections(uint64_t descriptors, size_t model_files) const {
    size_t workers = 0;
    for (const PoolSpec& spec : options_.pools) workers += spec.processes;
    const uint32_t threads =
        options_.grpc_threads > 0 ? options_.grpc_threads : PlanGrpcThreads(options_);
    const uint32_t most = MostConnections(descriptors, workers, model_files, threads);
    if (most >= options_.max_connections) return options_.max_connections;
    log_(LogLevel::kWarning,
         absl::StrCat("the process may have ", descriptors, " descriptors, which is enough for ",
                      most, " connections and not for ", options_.max_connections));
    return most;
  }

  void RestoreCosts() {
    if (options_.state_file.empty()) return;
    const absl::StatusOr<std::vector<SavedCost>> costs = ReadCosts(options_.state_file);
    if (!costs.ok()) return log_(LogLevel::kWarning, std::string(costs.status().message()));
    for (const SavedCost& cost : *costs) {
      router_.SeedCost(cost.model, cost.version, cost.cost);
    }
  }

  // Where the configuration has an error, or differs in what cannot change, all of it stays as it
  // is.
  void TakeOptions(const absl::StatusOr<ServeOptions>& options) {
    const absl::Status status = options.ok() ? CheckReload(options_, *options) : options.status();
    if (!status.ok()) {
      log_(LogLevel::kError, absl::StrCat("the configuration was refused, and the old one stays: ",
                                          status.message()));
      return;
    }
    options_ = *options;
    log_file_.SetLevel(options_.log_level);
    router_.SetLimits(LimitsOf(options_));
    log_(LogLevel::kInfo, "the configuration was read again and taken");
  }

  std::vector<PoolReport> Report() const {
    std::vector<PoolReport> reports;
    for (const auto& pool : pools_) reports.push_back(ReportOf(*pool));
    return reports;
  }

  ServeOptions options_;
  const std::optional<RunningServer> old_;
  Log log_file_;
  const LogSink log_;
  const SystemClock clock_;
  prometheus::Registry registry_;
  RequestMetrics metrics_;
  Router router_;
  ServingState state_;
  IdleMemory idle_memory_;
  std::vector<std::unique_ptr<Pool>> pools_;
  ModelControl models_;
  std::unique_ptr<FrontEnd> front_end_;
  // Of pools whose first workers are not all up.
  std::vector<std::future<absl::Status>> starting_;
  // When the drain is to have ended.
  TimePoint drained_at_{};
};

size_t CountFiles(const ModelRepository& repository) {
  size_t files = 0;
  for (const auto& model : repository.versions) {
    files += (model->file.empty() ? 0 : 1) + model->files_by_batch_size.size();
  }
  return files;
}

}  // namespace

int RunServer(const ServeOptions& options, const OptionsReader& read_again) {
  // Before any thread is there, since each inherits it. Workers get their pools' cores.
  const absl::Status narrowed = UseCores(options.front_end_cores);
  if (!narrowed.ok()) return Fail(kExitFailed, narrowed);
  Signals signals;
  const uint64_t descriptors = RaiseDescriptorLimit();
  if (!options.port_file.empty()) {
    const absl::Status writable = CheckPortFile(options.port_file);
    if (!writable.ok()) return Fail(kExitUsage, writable);
  }
  if (!options.state_file.empty()) {
    const absl::Status writable = CheckCostFile(options.state_file);
    if (!writable.ok()) return Fail(kExitUsage, writable);
  }
  const absl::StatusOr<ModelRepository> repository =
      ScanModelRepository(options.model_repository, KindsOf(options.pools));
  if (!repository.ok()) return Fail(kExitUsage, repository.status());
  std::optional<RunningServer> old;
  if (!options.take_over.empty()) {
    const absl::StatusOr<RunningServer> found = FindRunningServer(options.take_over);
    if (!found.ok()) return Fail(kExitUsage, found.status());
    old = *found;
  }
  ServerProcess process(options, old, descriptors, CountFiles(*repository));
  const absl::Status started = process.Start(*repository);
  if (!started.ok()) return Fail(kExitFailed, started);
  // The signal that asks the server to end, if one came within the time.
  const auto end_within = [&](Duration timeout) {
    std::optional<int> signal = signals.WaitFor(timeout);
    if (signal == SIGHUP) process.Reload(read_again());
    if (signal == SIGUSR2) process.Share();
    if (signal == SIGQUIT) process.EndAtOnce();
    if (signal == SIGHUP || signal == SIGUSR2) signal.reset();
    return signal;
  };
  std::optional<int> signal;
  std::optional<absl::Status> workers;
  while (!signal.has_value() && !(workers = process.EndOfStart()).has_value()) {
    signal = end_within(kPollLoading);
  }
  if (workers.has_value() && !workers->ok()) return Fail(kExitFailed, *workers);
  while (!signal.has_value() && !process.ready()) signal = end_within(kPollLoading);
  if (!signal.has_value()) {
    const absl::Status taken = process.TakeOver();
    if (!taken.ok()) return Fail(kExitFailed, taken);
    // Whoever ends this one meanwhile keeps the old one.
    signal = end_within(Duration{0});
  }
  if (!signal.has_value()) {
    const absl::Status announced = process.AnnounceReady();
    if (!announced.ok()) return Fail(kExitFailed, announced);
    process.DismissOld();
  }
  TimePoint save_at = SystemClock().Now() + kSaveCosts;
  while (!signal.has_value()) {
    signal = end_within(kLookAtMemory);
    process.GiveIdleMemoryBack();
    if (!signal.has_value() && SystemClock().Now() < save_at) continue;
    process.SaveCosts();
    save_at = SystemClock().Now() + kSaveCosts;
  }
  process.ServeOutConnections([&](Duration wait) { return end_within(wait).has_value(); });
  signals.ExitOnNext();
  process.Drain();
  process.Stop();
  return 0;
}

}  // namespace tandem::server
