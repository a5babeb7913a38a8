#include "backends/pool/worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/ipc/region_layout.h"
#include "backends/pool/launched_worker.h"
#include "core/printable.h"

namespace tandem {
namespace {

// Between the end of the control socket and the end of the process, when a worker dies by itself.
constexpr Duration kDyingTime = std::chrono::seconds(1);

// Of what a worker tells of one model.
constexpr int kMostNotes = 16;
constexpr size_t kMostNoteBytes = 1024;

}  // namespace

Worker::Worker(Surroundings surroundings, uint32_t pool, uint32_t index)
    : around_(std::move(surroundings)),
      pool_(pool),
      index_(index),
      first_lane_(index * around_.options.lanes),
      name_(absl::StrCat(around_.options.name, "/", index)),
      backoff_(pool * 1000 + index + 1),
      loader_(around_.options, lane(0), around_.events, around_.trials, index) {
  status_.name = name_;
  status_.lanes = around_.options.lanes;
  status_.input_arena_bytes = around_.options.input_arena_bytes;
}

std::shared_ptr<WorkerLink> Worker::link() const {
  const std::lock_guard lock(mutex_);
  return link_;
}

absl::Status Worker::Run(uint32_t lane, const Batch& batch) {
  const std::shared_ptr<WorkerLink> link = this->link();
  if (link == nullptr)
    return absl::UnavailableError(absl::StrCat("worker ", name_, " is not there"));
  return link->Run(lane, batch);
}

Ended Worker::TakeEnded() {
  const std::shared_ptr<WorkerLink> link = this->link();
  return link == nullptr ? Ended::kNothing : link->TakeEnded();
}

void Worker::StopTaking() {
  if (const std::shared_ptr<WorkerLink> link = this->link()) link->StopTaking();
}

pid_t Worker::HolderOf(uint64_t batch_id) const {
  std::shared_ptr<WorkerLink> link;
  pid_t pid = 0;
  {
    const std::lock_guard lock(mutex_);
    link = link_;
    pid = static_cast<pid_t>(status_.pid);
  }
  return link != nullptr && link->Holds(batch_id) ? pid : 0;
}

void Worker::WatchBatch(uint32_t lane, uint64_t batch_id) {
  const pid_t pid = HolderOf(batch_id);
  if (pid == 0) return;
  std::optional<CpuWaits> waits = ReadCpuWaits(pid);
  const TimePoint now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  hang_judge_.Watch(lane, batch_id, now, std::move(waits));
}

void Worker::EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun,
                          std::string reason) {
  const pid_t pid = HolderOf(batch_id);
  if (pid == 0) return;
  const std::optional<CpuWaits> waits = ReadCpuWaits(pid);
  const TimePoint now = std::chrono::steady_clock::now();
  HangJudge::Verdict verdict;
  {
    const std::lock_guard lock(mutex_);
    verdict = hang_judge_.Judge(lane, batch_id, now, waits, overrun);
    // Another life has nothing to do with it.
    if (verdict == HangJudge::Verdict::kHangs && status_.pid == pid && link_ != nullptr) {
      death_wish_ = {reason, KillCause::kHang, batch_id};
    }
  }
  if (verdict == HangJudge::Verdict::kHangs) around_.wake();
  if (verdict == HangJudge::Verdict::kWaits) {
    // Not Log, which is for the supervisor's thread.
    around_.log(LogLevel::kDebug,
                absl::StrCat("worker ", name_, " lacks a CPU and gets more time: ", reason));
  }
}

WorkerStatus Worker::Status() const {
  std::shared_ptr<WorkerLink> link;
  WorkerStatus status;
  {
    const std::lock_guard lock(mutex_);
    link = link_;
    status = status_;
  }
  if (link != nullptr) status.input_arena_used = link->input_bytes_used();
  return status;
}

void Worker::Tick(TimePoint now) {
  if (!process_.has_value()) {
    if (stopping_ || now < start_at_) return;
    const absl::Status started = Start(now);
    if (started.ok()) return;
    Log(LogLevel::kError, absl::StrCat("cannot be started: ", started.message()));
    SettleFirstStart(started);
    loader_.OnCannotStart();
    ScheduleRestart(Duration(0), /*crashed=*/true, now);
    return;
  }
  ReadControl(now);
  GrantDeathWish();
  if (const std::optional<WorkerExit> exit = process_->Reap(); exit.has_value()) {
    OnExit(*exit, now);
    return;
  }
  if (kill_reason_.empty()) {
    const std::string reason = watch_->Judge(now, loader_.is_loading());
    if (!reason.empty()) Kill(reason);
    JudgeLoad(now);
  }
  SendPing(now);
  if (control_.has_value()) {
    if (ready_ && !stopping_ && kill_reason_.empty()) {
      loader_.StartNext(*control_, now);
      TellThatItIsBack(now);
    }
    const absl::Status sent = control_->Flush();
    if (!sent.ok()) Kill(absl::StrCat("it cannot be told what to do: ", sent.message()));
  }
}

absl::Status Worker::Start(TimePoint now) {
  const PoolOptions& options = around_.options;
  absl::StatusOr<LaunchedWorker> launched = LaunchWorker(options, index_);
  if (!launched.ok()) return launched.status();
  auto link = WorkerLink::Start({name_, lane(0), options.lanes, SpinTime(options)},
                                std::move(launched->memory), around_.events,
                                [this](const std::string& violation) { OnViolation(violation); });
  // The process, whom nobody greets any more, ends with `launched`.
  if (!link.ok()) return link.status();
  current_link_ = *std::move(link);
  process_.emplace(std::move(launched->process));
  control_.emplace(std::move(launched->control));
  kill_reason_.clear();
  kill_cause_ = KillCause::kFault;
  hung_.reset();
  watch_.emplace(now, options.memory_limit_bytes,
                 LifeWatch::Readings{
                     [this] { return process_->IsStopped(); },
                     [this] { return OwnMemory(process_->pid()).value_or(0); },
                 });
  {
    const std::lock_guard lock(mutex_);
    death_wish_.reset();
    status_.pid = process_->pid();
    Follow(WorkerEvent::kStarted);
    if (first_start_.has_value() || early_deaths_ > 0) ++status_.restarts;
  }
  return absl::OkStatus();
}

void Worker::OnViolation(const std::string& violation) {
  {
    const std::lock_guard lock(mutex_);
    death_wish_ = {absl::StrCat("it broke the protocol: ", violation), KillCause::kFault, {}};
  }
  around_.wake();
}

void Worker::ReadControl(TimePoint now) {
  while (control_.has_value()) {
    const absl::StatusOr<worker::v1::FromWorker> message = control_->Receive();
    if (absl::IsNotFound(message.status())) return;
    if (absl::IsUnavailable(message.status())) {
      // It most probably dies at this moment, and the way it does is worth to know.
      control_.reset();
      if (!stopping_) watch_->EndBy(now + kDyingTime, "it closed its control socket");
      return;
    }
    const absl::Status status = message.ok() ? OnMessage(*message, now) : message.status();
    // What comes behind it may have no end.
    if (!status.ok()) return Kill(absl::StrCat("it broke the protocol: ", status.message()));
  }
}

absl::Status Worker::OnMessage(const worker::v1::FromWorker& message, TimePoint now) {
  if (message.has_hello()) return OnHello(message.hello(), now);
  if (!ready_) return absl::InternalError("it spoke before its hello");
  switch (message.message_case()) {
    case worker::v1::FromWorker::kModelLoaded:
      LogNotes(message.model_loaded());
      return OnLoadEnded(message);
    case worker::v1::FromWorker::kModelFailed:
      return OnLoadEnded(message);
    case worker::v1::FromWorker::kPong:
      watch_->OnPong(message.pong().sequence());
      return absl::OkStatus();
    case worker::v1::FromWorker::kModelUnloaded:
      return absl::OkStatus();
    default:
      return absl::InternalError("it sent an unknown message");
  }
}

absl::Status Worker::OnLoadEnded(const worker::v1::FromWorker& message) {
  const bool loaded = message.has_model_loaded();
  const uint32_t handle =
      loaded ? message.model_loaded().handle() : message.model_failed().handle();
  // What it holds before any request can have run the model is the load's own doing. One that is
  // not wanted any more is about to be unloaded.
  std::string excess = loader_.IsLoading(handle) ? watch_->JudgeMemory() : "";
  if (!excess.empty()) {
    Kill(std::move(excess), KillCause::kLoadedTooMuch);
    return absl::OkStatus();
  }
  return loaded ? loader_.OnLoaded(message.model_loaded())
                : loader_.OnFailed(message.model_failed());
}

absl::Status Worker::OnHello(const worker::v1::HelloReply& hello, TimePoint now) {
  if (ready_) return absl::InternalError("it said hello twice");
  if (hello.protocol_version() != ipc::kProtocolVersion) {
    return absl::InternalError(absl::StrCat("it speaks version ", hello.protocol_version(),
                                            " and the server version ", ipc::kProtocolVersion,
                                            "; use programs of one build"));
  }
  if (!hello.error().empty()) {
    const std::string error = Printable(hello.error());
    SettleFirstStart(
        absl::FailedPreconditionError(absl::StrCat("worker ", name_, " cannot serve: ", error)));
    Kill(absl::StrCat("it cannot serve: ", error));
    return absl::OkStatus();
  }
  ready_ = true;
  ready_since_ = now;
  watch_->OnHello(now);
  {
    const std::lock_guard lock(mutex_);
    link_ = current_link_;
    Follow(WorkerEvent::kGreeted);
  }
  SettleFirstStart(absl::OkStatus());
  Log(LogLevel::kInfo, absl::StrCat("process ", process_->pid(), " is ready: ",
                                    Printable(hello.runtime()), " on ", Printable(hello.device())));
  for (uint32_t i = 0; i < around_.options.lanes; ++i) around_.events.OnLaneUp(lane(i));
  return absl::OkStatus();
}

void Worker::JudgeLoad(TimePoint now) {
  switch (loader_.Judge(now)) {
    case LoadWatch::Verdict::kFine:
      break;
    case LoadWatch::Verdict::kTooLong:
      return Kill("it took too long to load a model", KillCause::kLoadTooLong);
    case LoadWatch::Verdict::kUnwanted:
      return Kill("it still loaded a model that was removed", KillCause::kLoadUnwanted);
  }
  const std::optional<std::string> model = loader_.TakeSlow(now);
  if (!model.has_value()) return;
  constexpr auto kSeconds = std::chrono::duration_cast<std::chrono::seconds>(LoadWatch::kSlow);
  Log(LogLevel::kWarning, absl::StrCat("is still loading ", *model, " after ", kSeconds.count(),
                                       " s; --load-timeout limits that"));
}

void Worker::SendPing(TimePoint now) {
  const std::optional<uint64_t> sequence = watch_->PingDue(now);
  if (!sequence.has_value() || !control_.has_value() || control_->wants_to_write()) return;
  worker::v1::ToWorker message;
  message.mutable_ping()->set_sequence(*sequence);
  [[maybe_unused]] const absl::Status posted = control_->Post(std::move(message));
}

void Worker::TellThatItIsBack(TimePoint now) {
  if (!away_since_.has_value()) return;
  const std::optional<size_t> models = loader_.all_tried();
  if (!models.has_value()) return;
  const auto away = std::chrono::ceil<std::chrono::milliseconds>(now - *away_since_);
  Log(LogLevel::kInfo, absl::StrCat("process ", process_->pid(), " is back with ", *models,
                                    " models after ", away.count(), " ms"));
  away_since_.reset();
}

TimePoint Worker::NextDeadline() const {
  if (!process_.has_value()) return stopping_ ? kNever : start_at_;
  // One that has been killed has its end ahead, which is an event.
  return kill_reason_.empty() ? std::min(watch_->next(loader_.is_loading()), loader_.next())
                              : kNever;
}

std::array<pollfd, 2> Worker::Polled() const {
  // poll() passes over negative descriptors.
  std::array<pollfd, 2> polled = {pollfd{-1, POLLIN, 0}, pollfd{-1, POLLIN, 0}};
  if (process_.has_value()) polled[0].fd = process_->fd();
  if (control_.has_value()) {
    polled[1].fd = control_->fd();
    if (control_->wants_to_write()) polled[1].events |= POLLOUT;
  }
  return polled;
}

void Worker::Unload(uint32_t handle, TimePoint now) {
  loader_.Remove(handle, ready_ && control_.has_value() ? &*control_ : nullptr, now);
}

void Worker::Stop(TimePoint kill_at) {
  stopping_ = true;
  if (watch_.has_value()) watch_->EndBy(kill_at, "it did not end when asked");
  {
    const std::lock_guard lock(mutex_);
    Follow(WorkerEvent::kStop);
  }
  if (!process_.has_value()) {
    SettleFirstStart(
        absl::CancelledError(absl::StrCat("worker ", name_, " was stopped before it was ready")));
  }
  if (!control_.has_value()) return;
  worker::v1::ToWorker message;
  message.mutable_shutdown();
  [[maybe_unused]] const absl::Status posted = control_->Post(std::move(message));
}

void Worker::Follow(WorkerEvent event) {
  status_.state = Next(WorkerTransitions(), status_.state, event);
}

// Text of the worker's: bounded, as all that it says.
void Worker::LogNotes(const worker::v1::ModelLoaded& message) const {
  const int count = std::min(message.notes_size(), kMostNotes);
  for (int i = 0; i < count; ++i) {
    Log(LogLevel::kWarning,
        absl::StrCat("says: ", Printable(message.notes(i).substr(0, kMostNoteBytes))));
  }
}

// A first start that fails is told by the caller of Pool::Start, once and in one line.
void Worker::Log(LogLevel level, const std::string& text) const {
  if (!first_start_.has_value() || !first_start_->ok()) level = LogLevel::kDebug;
  around_.log(level, absl::StrCat("worker ", name_, " ", text));
}

}  // namespace tandem
