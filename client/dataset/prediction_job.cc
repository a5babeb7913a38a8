#include "client/dataset/prediction_job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/dataset/reply_rows.h"

namespace tandem::client {
namespace {

// A full queue empties soon; a message that is too large stays so.
constexpr int kExhaustedAttempts = 3;

}  // namespace

PredictionJob::PredictionJob(DatasetReader& reader, Predictor& predictor, PredictionWriter& writer,
                             JobObserver& observer, const Clock& clock, JobOptions options,
                             SaveProgress save, JobProgress done)
    : reader_(reader),
      predictor_(predictor),
      writer_(writer),
      observer_(observer),
      clock_(clock),
      options_(options),
      save_(std::move(save)),
      next_row_(done.rows),
      progress_(done),
      last_checkpoint_(clock.Now()) {}

JobSummary PredictionJob::Run() {
  while (true) {
    // First, since what is written makes room in the window.
    WriteDone();
    if (!Stopping()) ReadAhead();
    if (!Stopping()) StartCalls();
    if (clock_.Now() - last_checkpoint_ >= options_.checkpoint_interval) SaveCheckpoint();
    observer_.OnProgress(progress_, reader_.fraction_read());
    if (running_ == 0 && (Stopping() || (at_end_ && slots_.empty()))) break;
    for (Answer& answer : AwaitAnswers()) Settle(std::move(answer));
  }
  const bool all_written = at_end_ && slots_.empty();
  if (all_written) status_.Update(read_error_);
  SaveCheckpoint();
  return {progress_, interrupted_ && !all_written, status_};
}

void PredictionJob::Stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

void PredictionJob::ReadAhead() {
  // Answers that overtook others wait to be written: twice the window keeps calls going meanwhile.
  const size_t window = static_cast<size_t>(options_.concurrency) * 2;
  while (!at_end_ && slots_.size() < window) {
    Slot slot;
    slot.first_row = next_row_;
    absl::StatusOr<std::optional<Row>> row = std::exchange(held_back_, std::nullopt);
    if (!row->has_value()) row = reader_.Next();
    absl::Status status = row.status();
    if (status.ok()) {
      if (!row->has_value()) {
        at_end_ = true;
        return;
      }
      ++next_row_;
      slot.rows.push_back(**std::move(row));
      status = AddJoiningRows(slot);
      slots_.push_back(std::move(slot));
      if (status.ok()) continue;
      slot = Slot();
      slot.first_row = next_row_;
    }
    ++next_row_;
    if (!absl::IsInvalidArgument(status)) {
      // The rows before it are good.
      read_error_ = std::move(status);
      at_end_ = true;
      return;
    }
    Prediction failed;
    failed.status = std::move(status);
    slot.rows.emplace_back();
    slot.predictions.push_back(std::move(failed));
    slot.state = Slot::kDone;
    slots_.push_back(std::move(slot));
  }
}

absl::Status PredictionJob::AddJoiningRows(Slot& slot) {
  while (slot.rows.size() < static_cast<size_t>(options_.batch)) {
    absl::StatusOr<std::optional<Row>> row = reader_.Next();
    if (!row.ok()) return row.status();
    if (!row->has_value()) {
      at_end_ = true;
      break;
    }
    if (!predictor_.CanJoin(slot.rows[0], **row)) {
      held_back_ = **std::move(row);
      break;
    }
    ++next_row_;
    slot.rows.push_back(**std::move(row));
  }
  return absl::OkStatus();
}

void PredictionJob::StartCalls() {
  const TimePoint now = clock_.Now();
  for (Slot& slot : slots_) {
    if (running_ >= options_.concurrency) return;
    if (slot.state == Slot::kWaiting && slot.not_before <= now) Send(slot);
  }
}

void PredictionJob::Send(Slot& slot) {
  slot.state = Slot::kRunning;
  slot.sent = clock_.Now();
  ++slot.attempts;
  ++running_;
  predictor_.Predict(slot.rows, [this, &slot](absl::StatusOr<PredictReply> reply) {
    const TimePoint received = clock_.Now();
    const std::lock_guard<std::mutex> lock(mutex_);
    answers_.push_back({&slot, std::move(reply), received});
    changed_.notify_all();
  });
}

std::vector<PredictionJob::Answer> PredictionJob::AwaitAnswers() {
  TimePoint wake = kNever;
  if (!Stopping() && running_ < options_.concurrency) {
    for (const Slot& slot : slots_) {
      if (slot.state == Slot::kWaiting) wake = std::min(wake, slot.not_before);
    }
  }
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return !answers_.empty() || (stop_ && !interrupted_);
  };
  if (wake == kNever) {
    // With no call on its way nothing would ever end the wait: what is left waits to be written.
    if (running_ > 0) changed_.wait(lock, ready);
  } else if (wake > clock_.Now()) {
    changed_.wait_for(lock, wake - clock_.Now(), ready);
  }
  interrupted_ = stop_;
  return std::exchange(answers_, {});
}

void PredictionJob::Settle(Answer answer) {
  Slot& slot = *answer.slot;
  --running_;
  if (!answer.reply.ok()) {
    SettleFailure(slot, answer.reply.status());
    return;
  }
  TimePoint oldest = slot.sent;
  for (const Slot& other : slots_) {
    if (other.state == Slot::kRunning) oldest = std::min(oldest, other.sent);
  }
  observer_.OnReply(*answer.reply, slot.sent, answer.received, oldest);
  absl::StatusOr<std::vector<Prediction>> predictions = SplitReply(*answer.reply, slot.rows.size());
  if (!predictions.ok()) {
    SettleFailure(slot, predictions.status());
    return;
  }
  slot.predictions = *std::move(predictions);
  slot.state = Slot::kDone;
}

void PredictionJob::SettleFailure(Slot& slot, const absl::Status& status) {
  const bool lost = absl::IsUnavailable(status);
  const int attempts = lost                                ? options_.max_attempts
                       : absl::IsResourceExhausted(status) ? kExhaustedAttempts
                                                           : 1;
  if (slot.attempts < attempts) {
    observer_.OnRetry(status, slot.attempts);
    slot.not_before = clock_.Now() + options_.first_pause * (1 << std::min(slot.attempts - 1, 10));
    slot.state = Slot::kWaiting;
  } else if (lost) {
    status_.Update(status);
    slot.state = Slot::kWaiting;
  } else if (slot.rows.size() > 1) {
    SplitUp(slot);
  } else {
    Prediction failed;
    failed.status = status;
    slot.predictions.push_back(std::move(failed));
    slot.state = Slot::kDone;
  }
}

// One row of the call may be at fault: each is asked alone.
void PredictionJob::SplitUp(Slot& slot) {
  const auto at = std::find_if(slots_.begin(), slots_.end(),
                               [&](const Slot& other) { return &other == &slot; });
  for (size_t i = 0; i < slot.rows.size(); ++i) {
    Slot single;
    single.first_row = slot.first_row + static_cast<int64_t>(i);
    single.rows.push_back(std::move(slot.rows[i]));
    slots_.insert(at, std::move(single));
  }
  slots_.erase(at);
}

void PredictionJob::WriteDone() {
  while (!slots_.empty() && slots_.front().state == Slot::kDone) {
    // A disk that refuses rows has refused all that follow.
    if (!status_.ok() && !absl::IsUnavailable(status_)) return;
    Slot& slot = slots_.front();
    for (size_t i = 0; i < slot.predictions.size(); ++i) {
      Prediction& prediction = slot.predictions[i];
      prediction.row = slot.first_row + static_cast<int64_t>(i);
      prediction.source = slot.rows[i].source;
      absl::Status failure = prediction.FirstError();
      const absl::Status written = writer_.Write(prediction);
      if (!written.ok() && !absl::IsInvalidArgument(written)) {
        status_ = written;
        return;
      }
      failure.Update(written);
      ++progress_.rows;
      if (failure.ok()) continue;
      ++progress_.failed;
      const Row& row = slot.rows[i];
      observer_.OnRowFailed(prediction.row, row.source.empty() ? row.place : row.source, failure);
    }
    slots_.pop_front();
  }
}

void PredictionJob::SaveCheckpoint() {
  last_checkpoint_ = clock_.Now();
  const absl::StatusOr<nlohmann::json> state = writer_.Checkpoint();
  const absl::Status status = state.ok() ? save_(progress_, *state) : state.status();
  // What stopped the job before says more than what follows from it.
  if (!status.ok() && (status_.ok() || absl::IsUnavailable(status_))) status_ = status;
}

}  // namespace tandem::client
