#include "client/chaos/chaos_run.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/chaos/checked_load.h"
#include "client/chaos/echo_request.h"
#include "client/chaos/fault_injector.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

// Longer than a server lets anything wait with its defaults.
constexpr seconds kPatience(60);
constexpr milliseconds kLook(50);
// The first fifth of the faults is the warm-up of memory.
constexpr int kWarmUpPart = 5;
constexpr milliseconds kLookForWorker(5);
constexpr milliseconds kLookForServer(100);
constexpr milliseconds kStatusTimeout(5000);

nanoseconds QuietTime(const ChaosRunOptions& options) { return options.duration / 10; }

// A process that is watched for its end.
class Watched {
 public:
  explicit Watched(pid_t pid) : pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
  ~Watched() {
    if (pidfd_ >= 0) close(pidfd_);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  bool has_ended() const {
    pollfd ended = {pidfd_, POLLIN, 0};
    return pidfd_ < 0 || poll(&ended, 1, 0) > 0;
  }

 private:
  const int pidfd_;
};

std::string ReadFrom(const std::string& path, std::streamoff offset) {
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(offset);
  // Not by iterators, which throw where the system refuses to read.
  std::ostringstream copied;
  copied << stream.rdbuf();
  return copied.str();
}

std::streamoff SizeOf(const std::string& path) {
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  return stream ? static_cast<std::streamoff>(stream.tellg()) : 0;
}

uint64_t RestartsOf(const v1::ServerStatusResponse& status) {
  uint64_t restarts = 0;
  for (const v1::PoolStatus& pool : status.pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) restarts += worker.restarts();
  }
  return restarts;
}

bool AllReady(const v1::ServerStatusResponse& status) {
  for (const v1::PoolStatus& pool : status.pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) {
      if (worker.state() != "ready") return false;
    }
  }
  return std::all_of(status.models().begin(), status.models().end(),
                     [](const v1::ModelStatus& model) { return model.state() == "READY"; });
}

absl::Status CheckModels(const v1::ServerStatusResponse& status) {
  for (const char* name : {kEchoModel, kHangModel, kGarbageModel, kPoisonModel}) {
    const bool ready = std::any_of(status.models().begin(), status.models().end(),
                                   [name](const v1::ModelStatus& model) {
                                     return model.name() == name && model.state() == "READY";
                                   });
    if (ready) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the server does not serve ", name,
                     "; write the models that a run needs with --write-models"));
  }
  return absl::OkStatus();
}

// One run, in its phases.
class FaultRun {
 public:
  FaultRun(const ChaosRunOptions& options, const ServerUnderTest& server,
           const Interruption& interruption)
      : options_(options),
        server_(server),
        interruption_(interruption),
        watched_(server.pid),
        client_({server.target, kStatusTimeout}),
        log_begin_(SizeOf(server.log_file)) {}

  absl::StatusOr<ChaosResult> Go() {
    const absl::StatusOr<v1::ServerStatusResponse> before = client_.ServerStatus();
    if (!before.ok()) return before.status();
    if (absl::Status status = CheckModels(*before); !status.ok()) return status;
    const auto begin = SteadyClock::now();
    CheckedLoad load({server_.target, options_.rate,
                      static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                            nanoseconds(1))});
    load.Start();
    SleepUntil(begin + QuietTime(options_));
    // The server ends idle connections in time, and this client's own counts there after the
    // faults.
    [[maybe_unused]] const auto connected = client_.ServerStatus();
    before_ = ReadFootprint(server_.pid);
    load.Enter(ChaosPhase::kFaults);
    FaultInjector injector(client_, load, server_.pid);
    CauseAll(injector);
    Settle(*before, load, injector);
    load.Finish(watched_.has_ended() ? seconds(1) : kPatience);
    AwaitMemory();
    const RequestLedger ledger = load.ledger();
    result_.load = ledger.Totals();
    result_.quiet = ledger.latencies(ChaosPhase::kQuiet);
    result_.among_faults = ledger.latencies(ChaosPhase::kFaults);
    result_.poisons = load.poison_ledger().Totals();
    result_.parent_deaths = watched_.has_ended() ? 1 : 0;
    result_.seed = options_.seed;
    result_.seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
    if (!server_.log_file.empty()) {
      result_.deaths =
          FindDeaths(ParseWorkerLog(ReadFrom(server_.log_file, log_begin_)), injector.signals());
    }
    return std::move(result_);
  }

 private:
  // False where the run is to end before.
  bool SleepUntil(SteadyClock::time_point time) const {
    while (!watched_.has_ended()) {
      const auto look = std::min(time, SteadyClock::now() + kLookForServer);
      if (!interruption_.SleepUntil(look)) return false;
      if (look == time) return true;
    }
    return false;
  }

  void CauseAll(FaultInjector& injector) {
    const std::vector<Fault> plan = PlanOf(options_);
    result_.planned = plan.size();
    const auto begin = SteadyClock::now();
    const auto end = begin + options_.duration - QuietTime(options_);
    const auto warm = begin + (end - begin) / kWarmUpPart;
    for (const Fault& fault : plan) {
      if (SteadyClock::now() < warm) WarmUp();
      if (!SleepUntil(begin + fault.at)) return;
      while (!injector.Cause(fault)) {
        if (SteadyClock::now() > end || !SleepUntil(SteadyClock::now() + kLookForWorker)) return;
      }
      ++result_.faults[static_cast<size_t>(fault.kind)];
    }
    SleepUntil(end);
  }

  // The first faults have the server touch memory that it then keeps to use again.
  void WarmUp() {
    const std::optional<Footprint> now = ReadFootprint(server_.pid);
    if (!now.has_value() || !before_.has_value()) return;
    before_->resident_bytes = std::max(before_->resident_bytes, now->resident_bytes);
  }

  // Until all faults have shown, all workers are back and what the deaths left has gone, still
  // under load.
  void Settle(const v1::ServerStatusResponse& before, const CheckedLoad& load,
              const FaultInjector& injector) {
    const auto limit = SteadyClock::now() + options_.settle;
    while (!watched_.has_ended() && SteadyClock::now() < limit) {
      // A request that has its worker misbehave has its answer when that worker has ended.
      const bool faults_have_shown = load.poison_ledger().open() == 0;
      const absl::StatusOr<v1::ServerStatusResponse> status = client_.ServerStatus();
      result_.recovered = faults_have_shown && status.ok() && AllReady(*status) &&
                          injector.HitWorkersAreBack(*status);
      if (status.ok()) result_.worker_restarts = RestartsOf(*status) - RestartsOf(before);
      if (const std::optional<Footprint> now = ReadFootprint(server_.pid);
          now.has_value() && before_.has_value()) {
        result_.growth = Growth(*before_, *now);
      }
      const bool leaks = result_.growth.has_value() && IsLeak(*result_.growth);
      if ((result_.recovered && !leaks) || !interruption_.SleepFor(kLook)) return;
    }
  }

  // What the server has taken for requests that piled up among the faults it keeps while they come,
  // and gives back when it has had nothing to do for some seconds. What it leaks it does not.
  void AwaitMemory() {
    const auto limit = SteadyClock::now() + options_.settle;
    while (!watched_.has_ended() && result_.growth.has_value() &&
           result_.growth->resident_bytes > kMostResidentGrowth && SteadyClock::now() < limit) {
      if (!interruption_.SleepFor(kLookForServer)) return;
      if (const std::optional<Footprint> now = ReadFootprint(server_.pid); now.has_value()) {
        result_.growth->resident_bytes = Growth(*before_, *now).resident_bytes;
      }
    }
  }

  const ChaosRunOptions& options_;
  const ServerUnderTest& server_;
  const Interruption& interruption_;
  const Watched watched_;
  InferenceClient client_;
  const std::streamoff log_begin_;
  // What the server held before the faults; of memory, the most until it was warm.
  std::optional<Footprint> before_;
  ChaosResult result_;
};

}  // namespace

std::vector<Fault> PlanOf(const ChaosRunOptions& options) {
  return PlanFaults(
      {options.seed, options.kinds, options.fault_rate, options.duration - QuietTime(options)});
}

absl::StatusOr<ChaosResult> RunChaos(const ChaosRunOptions& options, const ServerUnderTest& server,
                                     const Interruption& interruption) {
  return FaultRun(options, server, interruption).Go();
}

absl::StatusOr<pid_t> FindServer(InferenceClient& client) {
  const absl::StatusOr<v1::ServerStatusResponse> status = client.ServerStatus();
  if (!status.ok()) return status.status();
  for (const v1::PoolStatus& pool : status->pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) {
      const auto pid = static_cast<pid_t>(worker.pid());
      if (pid > 0 && IsWorker(pid)) return ParentOf(pid);
    }
  }
  return absl::FailedPreconditionError(
      "no worker of the server is a process of this machine; run it beside the server");
}

}  // namespace tandem::client
