#include "client/tune/tune_trial.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/bench/bench_input.h"
#include "client/bench/load_generator.h"
#include "client/chaos/server_child.h"
#include "client/inference_client.h"
#include "client/signature.h"

namespace tandem::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kTrialStopGrace(30);

// Files by another name of the same bytes where the disk is the same; else copies.
absl::Status Bring(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (fs::recursive_directory_iterator entry(from, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path place = to / fs::relative(entry->path(), from, error);
    if (entry->is_directory(error)) {
      fs::create_directories(place, error);
      continue;
    }
    const fs::path file = fs::canonical(entry->path(), error);
    if (error) break;
    std::error_code not_linked;
    fs::create_hard_link(file, place, not_linked);
    if (not_linked) fs::copy_file(file, place, error);
  }
  if (!error) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the model's files cannot be brought to a folder for temporary files: ", error.message(),
      "; name another one with TMPDIR"));
}

grpc::ByteBuffer Serialise(const InferCall& call) {
  const grpc::Slice slice(MakeInferRequest(call).SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

// Why the model is not served.
absl::Status Readiness(InferenceClient& client, const std::string& model) {
  const absl::StatusOr<inference::RepositoryIndexResponse> models = client.Models();
  if (!models.ok()) return models.status();
  for (const auto& one : models->models()) {
    if (one.name() == model && one.state() == "READY") return absl::OkStatus();
    if (one.name() == model) return absl::FailedPreconditionError(one.reason());
  }
  return absl::NotFoundError("the server does not know the model");
}

absl::StatusOr<InferCall> MakeCall(const Signature& signature, const TuneLoad& load) {
  absl::StatusOr<InputSet> made = MakeUpInputs(signature, {false, 1, load.shapes});
  if (!made.ok()) return made.status();
  absl::StatusOr<InputSet> inputs = FitInputs(signature, *std::move(made));
  if (!inputs.ok()) return inputs.status();
  return InferCall{load.model, "", *std::move(inputs), {}};
}

}  // namespace

void TrialServer::Enter(const std::function<void(std::function<void(pid_t)>)>& start) {
  // Held until the process is known: nobody ends the program between its start and that.
  std::unique_lock lock(mutex_);
  start([&](pid_t server) {
    pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, server, 0));
    lock.unlock();
  });
}

void TrialServer::Leave() {
  const std::lock_guard lock(mutex_);
  if (pidfd_ >= 0) close(pidfd_);
  pidfd_ = -1;
}

void TrialServer::EndForGood(std::chrono::milliseconds grace) {
  mutex_.lock();
  pollfd ended = {pidfd_, POLLIN, 0};
  if (syscall(SYS_pidfd_send_signal, pidfd_, SIGTERM, nullptr, 0) != 0) return;
  poll(&ended, 1, static_cast<int>(grace.count()));
}

absl::StatusOr<TuneTrials> TuneTrials::Prepare(const std::string& model_folder,
                                               const std::string& scratch, TuneLoad load,
                                               TrialServer& server) {
  const fs::path model = fs::path(scratch) / "models" / load.model;
  if (absl::Status status = Bring(model_folder, model); !status.ok()) return status;
  // It is written anew for each trial, and must not be the repository's own.
  std::error_code error;
  fs::remove(model / "config.pbtxt", error);
  if (error) return absl::InvalidArgumentError(absl::StrCat(scratch, " cannot be written to"));
  return TuneTrials(scratch, std::move(load), server);
}

absl::StatusOr<TuneTrial> TuneTrials::Run(const std::string& config, const TuneSetting& setting) {
  TuneTrial trial;
  trial.setting = setting;
  ServerChildOptions child;
  child.program = load_.program;
  child.worker_program = load_.worker_program;
  child.model_repository = scratch_ + "/models";
  child.port_file = scratch_ + "/ports";
  child.log_file = scratch_ + "/log";
  child.processes = 1;
  child.lanes = static_cast<int>(setting.lanes);
  child.express = 0;
  absl::StatusOr<std::unique_ptr<ServerChild>> server;
  server_->Enter([&](std::function<void(pid_t)> on_started) {
    std::ofstream(fs::path(scratch_) / "models" / load_.model / "config.pbtxt") << config;
    std::error_code ignored;
    fs::remove(child.port_file, ignored);
    child.on_started = std::move(on_started);
    server = ServerChild::Start(child);
  });
  absl::Status status;
  if (server.ok()) {
    status = RunOn((*server)->target(), trial);
    (*server)->Stop(kTrialStopGrace);
  } else {
    trial.failure = std::string(server.status().message());
  }
  server_->Leave();
  if (!status.ok()) return status;
  return trial;
}

absl::Status TuneTrials::RunOn(const std::string& target, TuneTrial& trial) const {
  InferenceClient client({target});
  absl::Status status = Readiness(client, load_.model);
  if (status.ok()) {
    const absl::StatusOr<Signature> signature = FetchSignature(client, load_.model, "");
    status = signature.status();
    if (status.ok()) {
      const absl::StatusOr<InferCall> call = MakeCall(*signature, load_);
      if (absl::IsInvalidArgument(call.status())) return call.status();
      status = call.status();
      if (status.ok()) status = client.Infer(*call).status();
      if (status.ok()) status = Measure(target, *call, trial);
    }
  }
  if (!status.ok()) trial.failure = std::string(status.message());
  return absl::OkStatus();
}

absl::Status TuneTrials::Measure(const std::string& target, const InferCall& call,
                                 TuneTrial& trial) const {
  LoadOptions options;
  options.target = target;
  options.warm_up = load_.duration / 4;
  options.duration = load_.duration;
  const LoadResult result = GenerateLoad(options, {load_.concurrency, 0, false}, {Serialise(call)});
  // What still waited at the end says only that there were more calls than the setting takes.
  if (result.failures > result.unanswered) return absl::UnavailableError(result.first_failure);
  if (result.server_lost) return absl::UnavailableError("the server of the trial was lost");
  if (result.latencies.count() == 0) {
    return absl::DeadlineExceededError(
        "no call was answered within the time of a trial; give a longer --duration");
  }
  trial.calls_per_second = result.calls_per_second;
  trial.p50 = result.latencies.Quantile(0.5);
  trial.p99 = result.latencies.Quantile(0.99);
  return absl::OkStatus();
}

}  // namespace tandem::client
