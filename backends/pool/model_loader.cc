#include "backends/pool/model_loader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "backends/pool/tensor_specs.h"
#include "core/printable.h"

namespace tandem {
namespace {

constexpr size_t kMostReasonBytes = 4096;
constexpr size_t kMostRuns = 256;
constexpr Duration kLongestRun = std::chrono::minutes(10);

// A key may end with "@cpu" or "@gpu": then it holds for the pools that serve that kind alone, and
// there in place of the plain one.
std::map<std::string, std::string> ParametersFor(PoolKind kind, const ModelConfig& config) {
  std::map<std::string, std::string> chosen;
  for (const auto& [key, value] : config.parameters) {
    if (!absl::StrContains(key, '@')) chosen[key] = value;
  }
  const std::string suffix = absl::StrCat("@", PoolKindName(kind));
  for (const auto& [key, value] : config.parameters) {
    absl::string_view name = key;
    if (absl::ConsumeSuffix(&name, suffix)) chosen[std::string(name)] = value;
  }
  return chosen;
}

worker::v1::ToWorker LoadMessage(const ModelVersion& model, PoolKind kind) {
  worker::v1::ToWorker message;
  worker::v1::LoadModel& load = *message.mutable_load_model();
  load.set_handle(model.handle);
  load.set_name(model.config.name);
  load.set_version(model.version);
  load.set_platform(model.config.platform);
  load.set_max_batch_size(model.config.max_batch_size);
  ToMessages(model.config.inputs, *load.mutable_inputs());
  ToMessages(model.config.outputs, *load.mutable_outputs());
  load.set_method(model.config.method);
  if (!model.file.empty()) load.add_file_batch_sizes(0);
  for (const auto& [size, file] : model.files_by_batch_size) load.add_file_batch_sizes(size);
  for (const auto& [key, value] : ParametersFor(kind, model.config))
    (*load.mutable_parameters())[key] = value;
  return message;
}

}  // namespace

ModelLoader::ModelLoader(const PoolOptions& options, LaneId first_lane, BackendEvents& events,
                         LoadTrials& trials, uint32_t worker)
    : kind_(options.kind),
      first_lane_(first_lane),
      lanes_(options.lanes),
      events_(events),
      plan_(trials, worker),
      watch_(options.load_timeout) {}

void ModelLoader::Remove(uint32_t handle, ControlQueue* control, TimePoint now) {
  if (plan_.IsLoading(handle)) watch_.OnUnwanted(now);
  plan_.Remove(handle);
  files_.erase(handle);
  if (control == nullptr) return;
  worker::v1::ToWorker message;
  message.mutable_unload_model()->set_handle(handle);
  [[maybe_unused]] const absl::Status posted = control->Post(std::move(message));
}

void ModelLoader::StartNext(ControlQueue& control, TimePoint now) {
  for (const uint32_t handle : plan_.TakeLeftOut()) {
    Fail(handle,
         absl::InternalError(absl::StrCat(plan_.WhyLeftOut(handle), ", so it is left out")));
  }
  while (const std::shared_ptr<const ModelVersion> model = plan_.StartNext()) {
    for (uint32_t lane = 0; lane < lanes_; ++lane) {
      events_.OnLoadBegun({first_lane_.pool, first_lane_.lane + lane}, model->handle);
    }
    const absl::Status sent = Send(*model, control);
    if (sent.ok()) {
      watch_.Begin(now);
      loading_name_ = absl::StrCat("model ", model->config.name, " version ", model->version);
      return;
    }
    plan_.Finish();
    Fail(model->handle, sent);
  }
  for (const uint32_t handle : plan_.TakePutOff()) {
    for (uint32_t lane = 0; lane < lanes_; ++lane) {
      events_.OnLoadPutOff({first_lane_.pool, first_lane_.lane + lane}, handle);
    }
  }
}

std::optional<std::string> ModelLoader::TakeSlow(TimePoint now) {
  if (!watch_.TakeSlow(now)) return std::nullopt;
  plan_.OnSlow();
  return loading_name_;
}

absl::Status ModelLoader::Send(const ModelVersion& model, ControlQueue& control) {
  auto files = files_.find(model.handle);
  if (files == files_.end()) {
    absl::StatusOr<ModelFiles> opened = ModelFiles::Open(model);
    if (!opened.ok()) return opened.status();
    files = files_.emplace(model.handle, *std::move(opened)).first;
  }
  // In the order of LoadMessage.
  absl::StatusOr<std::vector<ipc::UniqueFd>> descriptors = files->second.ForWorker();
  if (!descriptors.ok()) return descriptors.status();
  return control.Post(LoadMessage(model, kind_), *std::move(descriptors));
}

absl::Status ModelLoader::OnLoaded(const worker::v1::ModelLoaded& message) {
  if (absl::Status status = CheckIsLoading(message.handle()); !status.ok()) return status;
  absl::StatusOr<std::vector<TensorSpec>> inputs = FromMessages(message.inputs());
  if (!inputs.ok()) return inputs.status();
  absl::StatusOr<std::vector<TensorSpec>> outputs = FromMessages(message.outputs());
  if (!outputs.ok()) return outputs.status();
  watch_.End();
  if (!plan_.Finish()) return absl::OkStatus();
  std::vector<WarmUpRun> runs;
  for (const worker::v1::WarmUpRun& run : message.warm_up_runs()) {
    // Checked, as all that a worker says.
    const auto ns = static_cast<int64_t>(std::min<uint64_t>(run.ns(), kLongestRun.count()));
    if (run.rows() > 0 && ns > 0 && runs.size() < kMostRuns)
      runs.push_back({run.rows(), Duration{ns}});
  }
  if (!runs.empty()) events_.OnWarmUp(first_lane_, message.handle(), runs);
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    events_.OnModelReady({first_lane_.pool, first_lane_.lane + lane}, message.handle(), *inputs,
                         *outputs);
  }
  return absl::OkStatus();
}

absl::Status ModelLoader::OnFailed(const worker::v1::ModelFailed& message) {
  if (absl::Status status = CheckIsLoading(message.handle()); !status.ok()) return status;
  if (message.reason().size() > kMostReasonBytes)
    return absl::InternalError("a reason is too long");
  watch_.End();
  if (plan_.Finish())
    Fail(message.handle(), absl::FailedPreconditionError(Printable(message.reason())));
  return absl::OkStatus();
}

bool ModelLoader::OnWorkerDied(TimePoint now, LoadDeath death, const std::string& how,
                               bool served) {
  watch_.End();
  const std::string reason = Reason(death, how);
  const bool tells_all = death == LoadDeath::kMemory || death == LoadDeath::kTooLong;
  std::string why = tells_all ? reason : "its load ended a worker again and again";
  const std::optional<uint32_t> blamed = plan_.Restart(now, death, served, std::move(why));
  if (!blamed.has_value()) return false;
  const bool is_left_out = plan_.IsLeftOut(*blamed);
  // A signal from outside says nothing of the model: it loads anew, and requests wait for it.
  if (is_left_out || death != LoadDeath::kSignal) Fail(*blamed, absl::InternalError(reason));
  return is_left_out;
}

std::string ModelLoader::Reason(LoadDeath death, const std::string& how) const {
  if (death == LoadDeath::kMemory) return absl::StrCat("with it the worker holds ", how);
  if (death == LoadDeath::kTooLong) {
    return absl::StrCat("its load did not end within the ",
                        absl::FormatDuration(absl::FromChrono(watch_.limit())),
                        " that --load-timeout allows");
  }
  return absl::StrCat("the worker died while it loaded the model (", how, ")");
}

absl::Status ModelLoader::CheckIsLoading(uint32_t handle) const {
  if (plan_.loading() == handle) return absl::OkStatus();
  return absl::InternalError("it told of a model that it was not asked to load");
}

void ModelLoader::Fail(uint32_t handle, const absl::Status& reason) {
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    events_.OnModelFailed({first_lane_.pool, first_lane_.lane + lane}, handle, reason);
  }
}

}  // namespace tandem
