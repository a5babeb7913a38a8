#include "server/model_control.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

constexpr auto kLoadPoll = std::chrono::milliseconds(5);

absl::Status Ending() {
  return absl::UnavailableError("the server is shutting down, and changes no models");
}

absl::Status NoSuchModel(const std::string& model) {
  return absl::NotFoundError(absl::StrCat("there is no model ", Quoted(model)));
}

// "model m version 2: READY in cpu".
std::string Line(const ModelStatus& model) {
  std::string line = absl::StrCat("model ", model.name,
                                  model.version > 0 ? absl::StrCat(" version ", model.version) : "",
                                  ": ", ModelStateName(model.state));
  if (!model.pools.empty()) absl::StrAppend(&line, " in ", absl::StrJoin(model.pools, ", "));
  if (!model.reason.empty()) absl::StrAppend(&line, ": ", model.reason);
  return line;
}

// By model and version: what each looks like, and the content behind it.
using Snapshot =
    std::map<std::pair<std::string, int64_t>, std::pair<std::string, const ModelVersion*>>;

Snapshot Take(const std::vector<ModelStatus>& models) {
  Snapshot snapshot;
  for (const ModelStatus& model : models) {
    snapshot[{model.name, model.version}] = {Line(model), model.model.get()};
  }
  return snapshot;
}

void LogDifference(const std::vector<ModelStatus>& before, const std::vector<ModelStatus>& after,
                   const LogSink& log) {
  const Snapshot old = Take(before);
  const Snapshot now = Take(after);
  for (const ModelStatus& model : after) {
    const auto found = old.find({model.name, model.version});
    const std::string line = Line(model);
    if (found != old.end() && found->second == std::pair(line, model.model.get())) continue;
    const bool fine = model.state == ModelState::kReady && model.reason.empty();
    log(fine ? LogLevel::kInfo : LogLevel::kWarning, line);
  }
  for (const auto& [key, value] : old) {
    // What could not be read had no version that was served.
    if (now.count(key) > 0 || key.second == 0) continue;
    log(LogLevel::kInfo,
        absl::StrCat("model ", key.first, " version ", key.second, " is served no more"));
  }
}

PoolKinds KindsOf(const std::vector<PoolSpec>& pools) {
  PoolKinds kinds{false, false};
  for (const PoolSpec& pool : pools) {
    (pool.serves == PoolKind::kCpu ? kinds.cpu : kinds.gpu) = true;
  }
  return kinds;
}

}  // namespace

ModelControl::ModelControl(const ServeOptions& options, Router& router, const LogSink& log)
    : folder_(options.model_repository),
      pools_(KindsOf(options.pools)),
      mode_(options.model_control),
      router_(router),
      log_(log) {}

ModelControl::~ModelControl() { Stop(); }

void ModelControl::Start(const ModelRepository& repository) {
  for (const std::string& note : repository.notes) log_(LogLevel::kInfo, note);
  for (const auto& model : repository.versions) {
    next_handle_ = std::max(next_handle_, model->handle + 1);
    // One that no pool serves is listed with that reason, and told with all others.
    const absl::Status added = router_.AddModel(model);
    if (!added.ok()) log_(LogLevel::kDebug, std::string(added.message()));
  }
  for (const UnusableModel& model : repository.unusable) {
    router_.AddUnusable(model.name, model.version, model.reason);
  }
  thread_ = std::thread([this] { Loop(); });
}

void ModelControl::Refresh() {
  Add([this] { return ReadAll(); }, [](const absl::Status&) {});
}

void ModelControl::Load(std::string model, Done done) {
  Add([this, model = std::move(model)] { return ReadOne(model); }, std::move(done));
}

void ModelControl::Unload(std::string model, Done done) {
  Add([this, model = std::move(model)] { return Drop(model); }, std::move(done));
}

void ModelControl::Add(std::function<absl::Status()> run, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      jobs_.push_back({std::move(run), std::move(done)});
      changed_.notify_one();
      return;
    }
  }
  std::move(done)(Ending());
}

void ModelControl::Stop() {
  std::deque<Job> jobs;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs.swap(jobs_);
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  for (Job& job : jobs) std::move(job.done)(Ending());
}

void ModelControl::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const std::vector<ModelStatus> before = router_.Models();
    const absl::Status status = job.run();
    LogDifference(before, router_.Models(), log_);
    std::move(job.done)(status);
    lock.lock();
  }
}

absl::Status ModelControl::ReadAll() {
  const absl::StatusOr<ModelRepository> repository = ScanModelRepository(folder_, pools_);
  if (!repository.ok()) {
    log_(LogLevel::kError,
         absl::StrCat("the model repository cannot be read, and all models stay: ",
                      repository.status().message()));
    return repository.status();
  }
  for (const std::string& note : repository->notes) log_(LogLevel::kInfo, note);
  std::set<std::string> names;
  for (const std::string& name : router_.ModelNames()) names.insert(name);
  for (const auto& model : repository->versions) names.insert(model->config.name);
  for (const UnusableModel& model : repository->unusable) {
    names.insert(model.name);
    log_(LogLevel::kWarning, absl::StrCat("model ", model.name, ": ", model.reason));
  }
  for (const std::string& name : unloaded_) names.erase(name);
  for (const std::string& name : names) Update(name, *repository);
  const absl::Status loaded = AwaitLoads({names.begin(), names.end()});
  if (loaded.ok()) log_(LogLevel::kInfo, "the model repository was read again");
  return loaded;
}

absl::Status ModelControl::ReadOne(const std::string& model) {
  const absl::StatusOr<ModelRepository> repository = ScanModelRepository(folder_, pools_);
  if (!repository.ok()) return absl::UnavailableError("the model repository cannot be read");
  const auto is_it = [&](const UnusableModel& each) { return each.name == model; };
  const auto is_version = [&](const auto& each) { return each->config.name == model; };
  if (std::none_of(repository->versions.begin(), repository->versions.end(), is_version) &&
      std::none_of(repository->unusable.begin(), repository->unusable.end(), is_it)) {
    return NoSuchModel(model);
  }
  unloaded_.erase(model);
  Update(model, *repository);
  if (absl::Status loaded = AwaitLoads({model}); !loaded.ok()) return loaded;
  for (const ModelStatus& status : router_.Models()) {
    if (status.name != model) continue;
    if (status.state == ModelState::kReady && status.reason.empty()) continue;
    return absl::UnavailableError(absl::StrCat("model \"", model, "\"",
                                               status.version > 0 ? " version " : "",
                                               VersionText(status.version), ": ", status.reason));
  }
  return absl::OkStatus();
}

absl::Status ModelControl::Drop(const std::string& model) {
  const std::vector<std::string> names = router_.ModelNames();
  if (std::find(names.begin(), names.end(), model) == names.end()) return NoSuchModel(model);
  unloaded_.insert(model);
  router_.UpdateModel({model, {}, {}});
  return absl::OkStatus();
}

void ModelControl::Update(const std::string& model, const ModelRepository& repository) {
  ModelUpdate update;
  update.model = model;
  for (const auto& version : repository.versions) {
    if (version->config.name != model) continue;
    auto numbered = std::make_shared<ModelVersion>(*version);
    numbered->handle = next_handle_++;
    update.versions.push_back(std::move(numbered));
  }
  for (const UnusableModel& each : repository.unusable) {
    if (each.name == model) update.unusable.push_back({each.version, each.reason});
  }
  router_.UpdateModel(update);
}

absl::Status ModelControl::AwaitLoads(const std::vector<std::string>& models) {
  for (const std::string& model : models) {
    while (router_.IsArriving(model)) {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, kLoadPoll, [this] { return stopping_; })) return Ending();
    }
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
