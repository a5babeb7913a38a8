#include "server/model_control.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

// Between two looks at what is being loaded.
constexpr auto kLoadPoll = std::chrono::milliseconds(5);

absl::Status Ending() {
  return absl::UnavailableError("the server is shutting down, and changes no models");
}

absl::Status NoSuchModel(const std::string& model) {
  return absl::NotFoundError(absl::StrCat("there is no model ", Quoted(model)));
}

absl::Status NotLoaded(const ModelStatus& version) {
  return absl::UnavailableError(absl::StrCat("model \"", version.name, "\"",
                                             version.version > 0 ? " version " : "",
                                             VersionText(version.version), ": ", version.reason));
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
  const auto end = [this] {
    log_(LogLevel::kInfo, "the model repository was read again");
    return absl::OkStatus();
  };
  Add({[this] { return ReadAll(); }, end, [](const absl::Status&) {}});
}

void ModelControl::Load(std::string model, Done done) {
  Add({[this, model] { return ReadOne(model); }, [this, model] { return Outcome(model); },
       std::move(done)});
}

void ModelControl::Unload(std::string model, Done done) {
  const auto end = [] { return absl::OkStatus(); };
  Add({[this, model = std::move(model)] { return Drop(model); }, end, std::move(done)});
}

ModelControl::Names ModelControl::Unloaded() const {
  const std::lock_guard lock(mutex_);
  return Names(unloaded_.begin(), unloaded_.end());
}

void ModelControl::Add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      jobs_.push_back(std::move(job));
      changed_.notify_one();
      return;
    }
  }
  std::move(job.done)(Ending());
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
  const auto is_due = [this] { return stopping_ || !jobs_.empty(); };
  while (true) {
    if (begun_.empty()) {
      changed_.wait(lock, is_due);
    } else {
      changed_.wait_for(lock, kLoadPoll, is_due);
    }
    if (stopping_) break;
    std::optional<Job> job;
    if (!jobs_.empty()) {
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    lock.unlock();
    if (job.has_value()) Begin(*std::move(job));
    EndThoseLoaded();
    lock.lock();
  }
  lock.unlock();
  for (Job& job : begun_) std::move(job.done)(Ending());
}

void ModelControl::Begin(Job job) {
  if (begun_.empty()) told_ = Look();
  absl::StatusOr<Names> models = job.begin();
  if (!models.ok()) return End(job, models.status());
  job.loading = *std::move(models);
  begun_.push_back(std::move(job));
}

void ModelControl::EndThoseLoaded() {
  for (auto job = begun_.begin(); job != begun_.end();) {
    std::erase_if(job->loading, [this](const auto& model) { return !router_.IsArriving(model); });
    if (!job->loading.empty()) {
      ++job;
      continue;
    }
    End(*job, job->end());
    job = begun_.erase(job);
  }
}

void ModelControl::End(Job& job, absl::Status status) {
  LogChanges();
  std::move(job.done)(std::move(status));
}

ModelControl::Snapshot ModelControl::Look() const {
  Snapshot snapshot;
  for (const ModelStatus& model : router_.Models()) {
    snapshot[{model.name, model.version}] = model;
  }
  return snapshot;
}

// Tells what has become of the models since it was last told.
void ModelControl::LogChanges() {
  const Snapshot now = Look();
  for (const auto& [key, model] : now) {
    // Told once it has been tried.
    if (router_.IsArriving(key.first)) continue;
    const bool ready = model.state == ModelState::kReady;
    const auto told = told_.find(key);
    if (told != told_.end() && told->second.model == model.model) {
      // One that was ready and is not at present waits for its worker, which is told elsewhere.
      if (told->second.state == ModelState::kReady && !ready) continue;
      if (Line(told->second) == Line(model)) continue;
    }
    log_(ready && model.reason.empty() ? LogLevel::kInfo : LogLevel::kWarning, Line(model));
    told_[key] = model;
  }
  std::erase_if(told_, [&](const auto& each) {
    const auto& [name, version] = each.first;
    if (now.count(each.first) > 0) return false;
    // What could not be read had no version that was served.
    if (version > 0) {
      log_(LogLevel::kInfo,
           absl::StrCat("model ", name, " version ", version, " is served no more"));
    }
    return true;
  });
}

absl::StatusOr<ModelControl::Names> ModelControl::ReadAll() {
  const absl::StatusOr<ModelRepository> repository = ScanModelRepository(folder_, pools_);
  if (!repository.ok()) {
    log_(LogLevel::kError,
         absl::StrCat("the model repository cannot be read, and all models stay: ",
                      repository.status().message()));
    return repository.status();
  }
  for (const std::string& note : repository->notes) log_(LogLevel::kInfo, note);
  // Rather a disk that is not there at the moment than a wish.
  if (repository->versions.empty() && repository->unusable.empty() &&
      !router_.ModelNames().empty()) {
    const absl::Status empty = absl::FailedPreconditionError(
        "the model repository has no model folder at all, and all models stay; is its disk there? "
        "To serve none, unload the models or start the server again");
    log_(LogLevel::kError, std::string(empty.message()));
    return empty;
  }
  std::set<std::string> names;
  for (const std::string& name : router_.ModelNames()) names.insert(name);
  for (const auto& model : repository->versions) names.insert(model->config.name);
  for (const UnusableModel& model : repository->unusable) {
    names.insert(model.name);
    log_(LogLevel::kWarning, absl::StrCat("model ", model.name, ": ", model.reason));
  }
  for (const std::string& name : Unloaded()) names.erase(name);
  for (const std::string& name : names) Update(name, *repository);
  return Names(names.begin(), names.end());
}

absl::StatusOr<ModelControl::Names> ModelControl::ReadOne(const std::string& model) {
  const absl::StatusOr<ModelRepository> repository = ScanModelRepository(folder_, pools_);
  if (!repository.ok()) return absl::UnavailableError("the model repository cannot be read");
  const auto is_it = [&](const UnusableModel& each) { return each.name == model; };
  const auto is_version = [&](const auto& each) { return each->config.name == model; };
  if (std::none_of(repository->versions.begin(), repository->versions.end(), is_version) &&
      std::none_of(repository->unusable.begin(), repository->unusable.end(), is_it)) {
    return NoSuchModel(model);
  }
  {
    const std::lock_guard lock(mutex_);
    unloaded_.erase(model);
  }
  Update(model, *repository);
  return Names{model};
}

absl::Status ModelControl::Outcome(const std::string& model) const {
  std::vector<ModelStatus> versions = router_.Models();
  std::erase_if(versions, [&](const ModelStatus& status) { return status.name != model; });
  if (versions.empty()) {
    return absl::UnavailableError(
        absl::StrCat("model ", Quoted(model), " was taken away before it was loaded"));
  }
  // What could not be loaded goes before what stays because of it.
  const auto urgency = [](const ModelStatus& status) {
    if (status.state != ModelState::kReady) return 0;
    return status.is_leaving ? 2 : 1;
  };
  std::stable_sort(versions.begin(), versions.end(),
                   [&](const auto& a, const auto& b) { return urgency(a) < urgency(b); });
  const auto failed = std::find_if(versions.begin(), versions.end(), [&](const auto& status) {
    return urgency(status) == 0 || !status.reason.empty();
  });
  return failed == versions.end() ? absl::OkStatus() : NotLoaded(*failed);
}

absl::StatusOr<ModelControl::Names> ModelControl::Drop(const std::string& model) {
  const std::vector<std::string> names = router_.ModelNames();
  if (std::find(names.begin(), names.end(), model) == names.end()) return NoSuchModel(model);
  {
    const std::lock_guard lock(mutex_);
    unloaded_.insert(model);
  }
  router_.UpdateModel({model, {}, {}});
  return Names();
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
  for (const ExcludedVersion& each : repository.excluded) {
    if (each.name == model) update.excluded.push_back(each.version);
  }
  router_.UpdateModel(update);
}

}  // namespace tandem::server
