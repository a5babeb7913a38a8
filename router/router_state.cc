#include "router/router_state.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/retry_hint.h"
#include "router/request_validation.h"
#include "router/response_splitter.h"

namespace tandem {
namespace {

// Longest sleep of the timer thread. Keeps far deadlines away from the end of the clock's range.
constexpr Duration kLongestSleep = std::chrono::hours(1);

// With more than that in the server its threads have enough to do, and a lane that looks for the
// next batch would only take a core from them.
constexpr uint64_t kMostRequestsToLook = 4;

// What a client is told to wait whose bytes do not fit at present: they come free with each answer.
constexpr Duration kRetryForBytes = std::chrono::milliseconds(100);

std::vector<uint32_t> WorkersOfLanes(const Backend& backend) {
  std::vector<uint32_t> workers;
  std::vector<std::string> names;
  for (uint32_t lane = 0; lane < backend.lane_count(); ++lane) {
    const std::string name(backend.worker_name(lane));
    const auto known = std::find(names.begin(), names.end(), name);
    workers.push_back(static_cast<uint32_t>(known - names.begin()));
    if (known == names.end()) names.push_back(name);
  }
  return workers;
}

std::vector<uint32_t> ExpressLanes(const Backend& backend) {
  std::vector<uint32_t> express;
  for (uint32_t lane = 0; lane < backend.lane_count(); ++lane) {
    if (backend.is_express(lane)) express.push_back(lane);
  }
  return express;
}

// The worker's message, with the model's name where it lacks it.
absl::Status NameModel(const std::string& model, const absl::Status& status) {
  if (absl::StrContains(status.message(), absl::StrCat("\"", model, "\""))) return status;
  return absl::Status(status.code(), absl::StrCat("model \"", model, "\": ", status.message()));
}

}  // namespace

Router::State::State(const Clock& clock, RouterOptions options, RouterObserver& observer)
    : clock_(clock),
      observer_(observer),
      quarantine_(options.quarantine),
      scheduler_(options.max_queue_length, options.restart_patience, options.max_queue_bytes),
      max_bytes_in_flight_(options.max_bytes_in_flight),
      timer_thread_([this] { RunTimer(); }) {}

Router::State::~State() {
  ending_.store(true);
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    scheduler_.RefuseWaiting(absl::UnavailableError("the server has stopped"), actions);
  }
  timer_.Set(Duration{0});
  timer_thread_.join();
  Perform(std::move(actions));
}

void Router::State::AddBackend(Backend& backend) {
  const std::unique_lock table_lock(table_mutex_);
  const std::lock_guard lock(mutex_);
  table_.AddPool(std::string(backend.name()), backend.kind(), backend.lane_count());
  scheduler_.AddPool(backend.kind(), WorkersOfLanes(backend), ExpressLanes(backend));
  pools_.push_back({&backend, std::deque<std::mutex>(backend.lane_count())});
}

absl::Status Router::State::AddModel(std::shared_ptr<const ModelVersion> model) {
  {
    const std::unique_lock table_lock(table_mutex_);
    const absl::StatusOr<ModelEntry*> entry = table_.Add(model);
    if (!entry.ok()) return entry.status();
    if (!(*entry)->unusable.empty()) return absl::FailedPreconditionError((*entry)->unusable);
    const std::lock_guard lock(mutex_);
    (*entry)->number = scheduler_.AddModel(*model);
  }
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    if (table_.Serves(pool, model->config)) pools_[pool].backend->Load(model);
  }
  return absl::OkStatus();
}

void Router::State::AddUnusable(std::string name, int64_t version, std::string reason) {
  const std::unique_lock table_lock(table_mutex_);
  table_.AddUnusable(std::move(name), version, std::move(reason));
}

void Router::State::Submit(absl::Span<Submission> burst) {
  absl::InlinedVector<std::pair<uint32_t, std::unique_ptr<QueuedRequest>>, 1> admitted;
  for (Submission& submission : burst) {
    auto queued = std::make_unique<QueuedRequest>();
    queued->request = std::move(submission.request);
    queued->done = std::move(submission.done);
    requests_in_flight_.fetch_add(1);
    if (absl::Status status = Admit(*queued); !status.ok()) {
      Refuse(std::move(queued), std::move(status));
      continue;
    }
    const uint32_t model = queued->entry->number;
    admitted.emplace_back(model, std::move(queued));
  }
  if (admitted.empty()) return;
  const TimePoint now = clock_.Now();
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [model, queued] : admitted) {
      scheduler_.Accept(now, model, std::move(queued), actions);
    }
    for (size_t i = 0; i < admitted.size(); ++i) {
      // One after the other of the same model are served at once.
      if (i > 0 && admitted[i].first == admitted[i - 1].first) continue;
      scheduler_.Serve(now, admitted[i].first, actions);
    }
    Arm();
  }
  Perform(std::move(actions));
}

Ended Router::State::TakeEnded() {
  Ended found = Ended::kNothing;
  if (requests_in_flight_.load(std::memory_order_relaxed) == 0) return found;
  for (const Pool& pool : pools_) found = std::max(found, pool.backend->TakeEnded());
  return found;
}

void Router::State::StopTaking() {
  for (const Pool& pool : pools_) pool.backend->StopTaking();
}

// Finds the model and holds the request against it and against the limits.
absl::Status Router::State::Admit(QueuedRequest& queued) {
  InferRequest& request = *queued.request;
  {
    const std::shared_lock table_lock(table_mutex_);
    const absl::StatusOr<ModelEntry*> entry = table_.Find(request.model, request.version);
    if (!entry.ok()) return entry.status();
    queued.entry = *entry;
    (*entry)->in_flight.Enter();
    queued.model = (*entry)->model;
    if (draining_.load()) return absl::UnavailableError("the server is shutting down");
    if (absl::Status status = table_.CheckReady(**entry); !status.ok()) return status;
    if (absl::Status status = table_.CheckPool(**entry, request.pool); !status.ok()) return status;
  }
  absl::StatusOr<CheckedInputs> checked = CheckRequest(*queued.model, request);
  if (!checked.ok()) return checked.status();
  if (!quarantine_.empty()) {
    absl::Status status = quarantine_.Check(clock_.Now(), *queued.model, checked->tensors);
    if (!status.ok()) return status;
  }
  queued.inputs = std::move(checked->tensors);
  queued.rows = checked->rows;
  const uint64_t most = max_bytes_in_flight_.load(std::memory_order_relaxed);
  const uint64_t before = bytes_in_flight_.fetch_add(checked->bytes, std::memory_order_relaxed);
  queued.bytes = checked->bytes;
  if (checked->bytes > most || before > most - checked->bytes) {
    absl::Status full = absl::ResourceExhaustedError(
        absl::StrCat("model \"", request.model, "\": the request's ", checked->bytes,
                     " bytes of inputs do not fit beside the ", before,
                     " bytes in flight; at most ", most, " are taken at a time"));
    // What is too large by itself will not fit later either.
    if (checked->bytes > most) return full;
    return WithRetryAfter(std::move(full), kRetryForBytes);
  }
  return absl::OkStatus();
}

void Router::State::Perform(SchedulerActions actions) {
  while (!actions.empty()) {
    SchedulerActions next;
    for (ScheduledBatch* batch : actions.starts) Start(batch, next);
    for (auto& refusal : actions.refusals) {
      NoteGivenUp(*refusal.request, refusal.status);
      Refuse(std::move(refusal.request), std::move(refusal.status));
    }
    for (const SchedulerActions::Split& split : actions.splits) {
      observer_.OnBatchSplit(split.model, split.version, pools_[split.pool].backend->name());
    }
    for (const SchedulerActions::Pause& pause : actions.pauses) {
      observer_.OnPause(pause.model, pause.version, pause.time);
    }
    for (const SchedulerActions::Watch& watch : actions.watches) {
      pools_[watch.lane.pool].backend->WatchBatch(watch.lane.lane, watch.batch);
    }
    for (SchedulerActions::Overdue& overdue : actions.overdue) {
      pools_[overdue.lane.pool].backend->EndIfItHangs(overdue.lane.lane, overdue.batch,
                                                      overdue.overrun, std::move(overdue.reason));
    }
    actions = std::move(next);
  }
}

// Hands the batch to its lane; what follows from that is added to `next`.
void Router::State::Start(ScheduledBatch* batch, SchedulerActions& next) {
  const LaneId lane = batch->lane;
  const uint64_t id = batch->batch.id;
  Pool& pool = pools_[lane.pool];
  batch->batch.is_short = batch->predicted < Scheduler::kShortBatch;
  if (!batch->batch.is_short) long_batches_.fetch_add(1, std::memory_order_relaxed);
  batch->batch.next_is_soon =
      !HasLongBatch() && requests_in_flight_.load(std::memory_order_relaxed) <= kMostRequestsToLook;
  absl::Status status;
  {
    const std::lock_guard lane_lock(pool.lanes[lane.lane]);
    status = pool.backend->Run(lane.lane, batch->batch);
  }
  // From the step on the batch belongs to the thread that brings its result, unless that came
  // first.
  if (status.ok() && batch->steps.fetch_add(1, std::memory_order_acq_rel) == 0) return;
  const TimePoint now = clock_.Now();
  if (status.ok()) return EndBatch(now, *batch, next);
  const std::lock_guard lock(mutex_);
  if (!batch->batch.is_short) long_batches_.fetch_sub(1, std::memory_order_relaxed);
  scheduler_.BatchNotStarted(now, lane, id, NameModel(batch->batch.model, status), next);
  Arm();
}

void Router::State::BatchDone(LaneId lane, uint64_t batch_id, BatchResult result) {
  const TimePoint now = clock_.Now();
  SchedulerActions actions;
  ScheduledBatch* batch = nullptr;
  std::unique_ptr<ScheduledBatch> ended;
  {
    const std::lock_guard lock(mutex_);
    batch = scheduler_.Find(lane, batch_id);
    if (batch == nullptr || batch->has_result) return;
    batch->has_result = true;
    batch->result = std::move(result);
    // Where Run has not returned yet, its caller completes the batch.
    if (batch->steps.fetch_add(1, std::memory_order_acq_rel) == 0) return;
    if (batch->members.front()->entry->answering == nullptr) {
      ended = EndedLocked(now, lane, batch_id, actions);
      Arm();
      batch = nullptr;
    }
  }
  if (batch != nullptr) EndBatch(now, *batch, actions);
  // The lane first, then the clients, where they need not be answered before those behind them.
  SchedulerActions next;
  for (ScheduledBatch* start : actions.starts) Start(start, next);
  actions.starts.clear();
  if (ended != nullptr) AnswerBatch(std::move(ended), now);
  Perform(std::move(actions));
  Perform(std::move(next));
}

void Router::State::EndBatch(TimePoint now, const ScheduledBatch& batch,
                             SchedulerActions& actions) {
  ModelEntry* const entry = batch.members.front()->entry;
  // Its last answers would have it erased, with the mutex.
  entry->in_flight.Enter();
  {
    std::unique_lock<std::mutex> in_order;
    if (entry->answering != nullptr) in_order = std::unique_lock(*entry->answering);
    std::unique_ptr<ScheduledBatch> ended;
    {
      const std::lock_guard lock(mutex_);
      ended = EndedLocked(now, batch.lane, batch.batch.id, actions);
      Arm();
    }
    // Where its worker died its requests run again, and that may end a batch of them at once. No
    // other of the model begins before.
    if (ended != nullptr && ended->result.death != WorkerDeath::kNone) in_order = {};
    if (ended != nullptr) AnswerBatch(std::move(ended), now);
  }
  if (entry->in_flight.Leave()) Bury({entry});
}

// The batch, if it is to be answered: null where its members run again.
std::unique_ptr<ScheduledBatch> Router::State::EndedLocked(TimePoint now, LaneId lane,
                                                           uint64_t batch_id,
                                                           SchedulerActions& actions) {
  ScheduledBatch* batch = scheduler_.Find(lane, batch_id);
  if (!batch->batch.is_short) long_batches_.fetch_sub(1, std::memory_order_relaxed);
  if (batch->result.death != WorkerDeath::kNone) scheduler_.WorkerDied(now, *batch, actions);
  return scheduler_.BatchEnded(now, lane, batch_id, batch->result.status.ok(), actions);
}

void Router::State::AnswerBatch(std::unique_ptr<ScheduledBatch> batch, TimePoint finished) {
  BatchResult& result = batch->result;
  if (result.death != WorkerDeath::kNone) return RunAgain(std::move(batch), finished);
  const Backend& backend = *pools_[batch->lane.pool].backend;
  Placement placement;
  placement.pool = std::string(backend.name());
  placement.device = std::string(backend.device());
  placement.worker = std::string(backend.worker_name(batch->lane.lane));
  placement.batch_size = batch->batch.rows;
  placement.started = batch->started;
  placement.finished = finished;
  placement.compute_time = result.compute_time;
  std::vector<std::vector<Tensor>> outputs;
  absl::Status status;
  if (result.status.ok()) {
    auto split = SplitOutputs(*batch, result);
    if (split.ok()) {
      outputs = *std::move(split);
    } else {
      status = split.status();
    }
  } else {
    status = NameModel(batch->batch.model, result.status);
  }
  if (result.in_parts) {
    observer_.OnBatchSplit(batch->batch.model, batch->members.front()->model->version,
                           placement.pool);
  }
  batch->members.front()->entry->totals.NoteBatch();
  observer_.OnBatchDone(batch->batch.model, batch->members.front()->model->version, placement);
  uint64_t kept_bytes = 0;
  for (const Tensor& output : result.outputs) kept_bytes += output.byte_size();
  for (size_t i = 0; i < batch->members.size(); ++i) {
    std::unique_ptr<QueuedRequest>& member = batch->members[i];
    InferResponse response;
    response.status = status;
    response.placement = placement;
    response.placement.queue_time = batch->started - member->arrival();
    response.placement.reason =
        member->request->pool == PoolPreference::kAny ? batch->reason : PlacementReason::kAsked;
    if (status.ok()) {
      response.outputs = std::move(outputs[i]);
      response.keep_alive = result.keep_alive;
      response.kept_bytes = kept_bytes;
    }
    Answer(std::move(member), std::move(response));
  }
}

void Router::State::Arm() {
  const TimePoint wakeup = scheduler_.NextWakeup();
  if (wakeup < armed_) SetTimer(clock_.Now(), wakeup);
}

void Router::State::SetTimer(TimePoint now, TimePoint wakeup) {
  armed_ = wakeup;
  timer_.Set(std::min(wakeup - now, kLongestSleep));
}

void Router::State::RunTimer() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const TimePoint now = clock_.Now();
    SchedulerActions actions;
    if (scheduler_.NextWakeup() <= now) {
      scheduler_.Tick(now, actions);
      lock.unlock();
      Perform(std::move(actions));
    } else {
      SetTimer(now, scheduler_.NextWakeup());
      lock.unlock();
      timer_.Sleep();
    }
    lock.lock();
  }
}

}  // namespace tandem
