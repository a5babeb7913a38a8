#include "backends/pool/worker_link.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/pool/batch_layout.h"
#include "backends/pool/completion_check.h"
#include "backends/pool/hang_judge.h"
#include "core/adaptive_spin.h"
#include "core/thread.h"

namespace tandem {
namespace {

// A bound for a worker that keeps a ring of its doorbell from arriving.
constexpr Duration kLongestSleep = std::chrono::seconds(1);

// With more than that in flight an answer is far off, or they come so fast that sleep costs little.
constexpr size_t kMostInFlightToSpin = 4;

// The lane's spin where the next batch may come soon: when a client has read the answer to this
// one.
constexpr Duration kSpinForNext = std::chrono::microseconds(300);

// A batch with larger inputs is not short, whatever it computes: the next one's inputs are copied
// by who takes its completion.
constexpr size_t kShortBytes = size_t{64} << 10;

// The worker counts on room in the ring of completions for every batch that it was given.
constexpr uint32_t kMostInFlightOfLane = ipc::kRingCapacity;

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

}  // namespace

WorkerLink::WorkerLink(Options options, std::shared_ptr<WorkerMemory> memory, BackendEvents& events,
                       ViolationSink on_violation)
    : options_(std::move(options)),
      memory_(std::move(memory)),
      events_(events),
      on_violation_(std::move(on_violation)),
      arena_(memory_->input().size()) {
  for (uint32_t lane = 0; lane < options_.lanes; ++lane) {
    ipc::LaneRings& rings = memory_->lane(lane);
    lanes_.push_back({ipc::RingProducer(&rings.submit), ipc::RingConsumer(&rings.completion), 0});
  }
}

absl::StatusOr<std::shared_ptr<WorkerLink>> WorkerLink::Start(Options options,
                                                              std::shared_ptr<WorkerMemory> memory,
                                                              BackendEvents& events,
                                                              ViolationSink on_violation) {
  std::shared_ptr<WorkerLink> link(
      new WorkerLink(std::move(options), std::move(memory), events, std::move(on_violation)));
  absl::StatusOr<std::thread> thread =
      StartThread([link = link.get()] { link->ReadCompletions(); });
  if (!thread.ok()) return thread.status();
  link->completion_thread_ = *std::move(thread);
  return link;
}

WorkerLink::~WorkerLink() {
  if (completion_thread_.joinable()) Close(ClosedError(), WorkerDeath::kNone);
}

absl::Status WorkerLink::Run(uint32_t lane, const Batch& batch) {
  const absl::StatusOr<BatchLayout> layout = BatchLayout::Plan(batch);
  if (!layout.ok()) {
    return Refuse(lane, batch.id, layout.status());
  }
  if (layout->bytes() > memory_->input().size()) {
    return Refuse(
        lane, batch.id,
        absl::ResourceExhaustedError(absl::StrCat(
            "model ", batch.model, ": the inputs take ", layout->bytes(), " bytes and worker ",
            options_.worker, " has room for ", memory_->input().size(),
            "; send less at a time, or give the pool a larger arena")));
  }
  uint64_t offset = 0;
  if (absl::Status status = Reserve(lane, batch, layout->bytes(), offset); !status.ok())
    return status;
  layout->Write(batch, offset, memory_->input().data());
  if (absl::Status status = Submit(lane, batch, offset, layout->record_bytes()); !status.ok())
    return status;
  memory_->lane(lane).submitted.Ring();
  return absl::OkStatus();
}

absl::Status WorkerLink::Reserve(uint32_t lane, const Batch& batch, size_t bytes,
                                 uint64_t& offset) {
  const std::lock_guard lock(mutex_);
  if (closed_) return ClosedError();
  if (lanes_[lane].in_flight == kMostInFlightOfLane) return LaneFullError();
  const std::optional<uint64_t> place = arena_.Allocate(bytes);
  if (!place.has_value()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("worker ", options_.worker, " has no room for the inputs at present"));
  }
  offset = *place;
  const bool is_short = batch.is_short && bytes <= kShortBytes;
  flights_.emplace(batch.id, Flight{lane, offset, SteadyNow(), 0, is_short});
  ++lanes_[lane].in_flight;
  in_flight_.store(flights_.size(), std::memory_order_relaxed);
  if (!is_short) long_in_flight_.fetch_add(1, std::memory_order_relaxed);
  return absl::OkStatus();
}

// The inputs were copied without the lock. Where the link was closed meanwhile, the batch has its
// answer already.
absl::Status WorkerLink::Submit(uint32_t lane, const Batch& batch, uint64_t offset,
                                size_t record_bytes) {
  ipc::SubmitEntry entry{};
  entry.batch_id = batch.id;
  entry.model_handle = batch.model_handle;
  entry.rows = static_cast<uint32_t>(batch.rows);
  entry.record_offset = offset;
  entry.record_bytes = static_cast<uint32_t>(record_bytes);
  entry.spin_ns =
      static_cast<uint32_t>((batch.next_is_soon ? kSpinForNext : options_.spin).count());

  const std::lock_guard lock(mutex_);
  const auto flight = flights_.find(batch.id);
  if (flight == flights_.end()) return absl::OkStatus();
  const ipc::RingResult put = lanes_[lane].submit.Put(entry);
  if (put == ipc::RingResult::kOk) {
    flight->second.turn = ++last_turn_;
    return absl::OkStatus();
  }
  Land(flight);
  if (put == ipc::RingResult::kFull) return LaneFullError();
  on_violation_("the head of a submission ring makes no sense");
  return ClosedError();
}

// Not at once: the caller of Run may hold what its OnBatchDone wants.
absl::Status WorkerLink::Refuse(uint32_t lane, uint64_t batch_id, absl::Status status) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return ClosedError();
    refused_.push_back({lane, batch_id, std::move(status)});
    has_refused_.store(true);
  }
  memory_->region().completed.RingLoudly();
  return absl::OkStatus();
}

void WorkerLink::ReadCompletions() {
  AdaptiveSpin spin(options_.spin);
  while (!ending_.load()) {
    const size_t in_flight = in_flight_.load(std::memory_order_relaxed);
    const bool spins = in_flight > 0 && in_flight <= kMostInFlightToSpin;
    const TimePoint start = SteadyNow();
    memory_->region().completed.Wait([this] { return HasNews(); }, spins ? &spin : nullptr,
                                     kLongestSleep);
    if (spins) spin.Observe(SteadyNow() - start);
    DeliverRefused();
    const std::lock_guard lock(taking_);
    if (!DrainLanes()) return;
  }
}

Ended WorkerLink::TakeEnded() {
  if (in_flight_.load(std::memory_order_relaxed) == 0) return Ended::kNothing;
  if (long_in_flight_.load(std::memory_order_relaxed) > 0) {
    StopTaking();
    return Ended::kNothing;
  }
  // In this order: where another thread stops taking meanwhile, this one still owes the end of the
  // quiet, and gives it when it stops itself.
  memory_->region().completed.Quieten();
  is_attended_.store(true);
  if (!HasCompletion()) return Ended::kSoon;
  const std::unique_lock lock(taking_, std::try_to_lock);
  if (!lock.owns_lock()) return Ended::kSoon;
  if (violated_ || ending_.load()) return Ended::kNothing;
  return DrainLanes() ? Ended::kSome : Ended::kNothing;
}

void WorkerLink::StopTaking() {
  if (!is_attended_.exchange(false)) return;
  ipc::Doorbell& completed = memory_->region().completed;
  completed.Unquieten();
  if (HasNews()) completed.Ring();
}

// False where the worker broke the protocol.
bool WorkerLink::DrainLanes() {
  for (uint32_t lane = 0; lane < options_.lanes; ++lane) {
    const absl::Status status = DrainLane(lane);
    if (status.ok()) continue;
    violated_ = true;
    on_violation_(std::string(status.message()));
    return false;
  }
  return true;
}

// What the completion thread waits for.
bool WorkerLink::HasNews() const {
  return HasCompletion() || has_refused_.load() || ending_.load();
}

bool WorkerLink::HasCompletion() const {
  for (const Lane& lane : lanes_) {
    if (lane.completion.HasEntry()) return true;
  }
  return false;
}

void WorkerLink::DeliverRefused() {
  if (!has_refused_.load()) return;
  std::vector<Refusal> refused;
  {
    const std::lock_guard lock(mutex_);
    refused.swap(refused_);
    has_refused_.store(false);
  }
  for (Refusal& refusal : refused) {
    BatchResult result;
    result.status = std::move(refusal.status);
    Deliver(refusal.lane, refusal.batch_id, std::move(result));
  }
}

absl::Status WorkerLink::DrainLane(uint32_t lane) {
  // As much as the ring holds, since more may come for as long as it is taken: other lanes' batches
  // end, too.
  for (uint32_t taken = 0; taken < ipc::kRingCapacity; ++taken) {
    ipc::CompletionEntry entry;
    switch (lanes_[lane].completion.Take(entry)) {
      case ipc::RingResult::kEmpty:
        return absl::OkStatus();
      case ipc::RingResult::kOk:
        if (absl::Status status = Complete(lane, entry); !status.ok()) return status;
        break;
      case ipc::RingResult::kFull:
      case ipc::RingResult::kCorrupt:
        return absl::InternalError("the tail of a completion ring makes no sense");
    }
  }
  return absl::OkStatus();
}

// A batch whose answer breaks the protocol stays in flight: Close answers it.
absl::Status WorkerLink::Complete(uint32_t lane, const ipc::CompletionEntry& entry) {
  TimePoint started;
  {
    const std::lock_guard lock(mutex_);
    const auto flight = flights_.find(entry.batch_id);
    if (flight == flights_.end() || flight->second.lane != lane || flight->second.turn == 0) {
      return absl::InternalError("it answered a batch that it was not given");
    }
    started = flight->second.started;
  }
  absl::StatusOr<BatchResult> result = CheckCompletion(*memory_, entry, SteadyNow() - started);
  if (!result.ok()) return result.status();
  {
    const std::lock_guard lock(mutex_);
    Land(flights_.find(entry.batch_id));
  }
  Deliver(lane, entry.batch_id, *std::move(result));
  return absl::OkStatus();
}

void WorkerLink::Land(Flights::iterator flight) {
  arena_.Free(flight->second.offset);
  if (!flight->second.is_short) long_in_flight_.fetch_sub(1, std::memory_order_relaxed);
  --lanes_[flight->second.lane].in_flight;
  flights_.erase(flight);
  in_flight_.store(flights_.size(), std::memory_order_relaxed);
}

void WorkerLink::Close(const absl::Status& reason, WorkerDeath death,
                       std::optional<uint64_t> hung) {
  ending_.store(true);
  memory_->region().completed.RingLoudly();
  completion_thread_.join();
  // What it had done before its end counts. Else a batch would be blamed that ran well, and the one
  // behind it would not be.
  {
    const std::lock_guard lock(taking_);
    if (!violated_) DrainLanes();
  }
  Flights unanswered;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    unanswered.swap(flights_);
    in_flight_.store(0, std::memory_order_relaxed);
    long_in_flight_.store(0, std::memory_order_relaxed);
  }
  DeliverRefused();
  const std::set<uint32_t> hang = LanesOfHang(unanswered, hung);
  for (const auto& [batch_id, flight] : unanswered) {
    BatchResult result;
    result.status = reason;
    const bool is_hang = death == WorkerDeath::kHung;
    const bool may_be_it = IsFirst(unanswered, flight) && (!is_hang || hang.contains(flight.lane));
    if (death == WorkerDeath::kNone || may_be_it) {
      result.death = is_hang && hang.size() > 1 ? WorkerDeath::kHungTogether : death;
    } else {
      result.death = WorkerDeath::kForAnother;
    }
    Deliver(flight.lane, batch_id, std::move(result));
  }
}

std::set<uint32_t> WorkerLink::LanesOfHang(const Flights& flights, std::optional<uint64_t> hung) {
  const auto found = hung.has_value() ? flights.find(*hung) : flights.end();
  if (found == flights.end()) return {};
  const TimePoint now = SteadyNow();
  std::map<uint32_t, Duration> ran;
  for (const auto& [batch_id, flight] : flights) {
    if (IsFirst(flights, flight)) ran[flight.lane] = now - flight.started;
  }
  return LanesThatMayHang(ran, found->second.lane);
}

bool WorkerLink::IsFirst(const Flights& flights, const Flight& flight) {
  if (flight.turn == 0) return false;
  return std::none_of(flights.begin(), flights.end(), [&flight](const auto& entry) {
    const Flight& other = entry.second;
    return other.lane == flight.lane && other.turn != 0 && other.turn < flight.turn;
  });
}

bool WorkerLink::Holds(uint64_t batch_id) const {
  const std::lock_guard lock(mutex_);
  return flights_.contains(batch_id);
}

uint64_t WorkerLink::input_bytes_used() const {
  const std::lock_guard lock(mutex_);
  return arena_.used();
}

void WorkerLink::Deliver(uint32_t lane, uint64_t batch_id, BatchResult result) {
  events_.OnBatchDone({options_.first_lane.pool, options_.first_lane.lane + lane}, batch_id,
                      std::move(result));
}

absl::Status WorkerLink::LaneFullError() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("a lane of worker ", options_.worker, " is full at present"));
}

absl::Status WorkerLink::ClosedError() const {
  return absl::UnavailableError(absl::StrCat("worker ", options_.worker, " is not there"));
}

}  // namespace tandem
