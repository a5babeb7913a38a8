// What becomes of requests whose worker died.
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/router_state.h"

namespace tandem {

// Its worker died. A member runs again, or is told why not.
void Router::State::RunAgain(std::unique_ptr<ScheduledBatch> batch, TimePoint now) {
  const std::string how(batch->result.status.message());
  Requests again;
  for (std::unique_ptr<QueuedRequest>& member : batch->members) {
    const AfterDeath next = NextAfterDeath(batch->result.death, member->deaths, member->is_probe);
    if (next == AfterDeath::kGiveUp) {
      const bool ran = batch->result.death != WorkerDeath::kForAnother;
      Refuse(std::move(member),
             absl::UnavailableError(absl::StrCat(
                 "model \"", batch->batch.model, "\": the worker of the request ended ",
                 ran ? "for the second time" : "again and again", "; try again later")));
    } else if (next == AfterDeath::kCondemn) {
      pools_[batch->lane.pool].backend->ExplainDeath(batch->lane.lane);
      Condemn(batch->model, std::move(member), how, now);
    } else {
      observer_.OnRetry(batch->batch.model, member->model->version);
      again.push_back(std::move(member));
    }
  }
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    scheduler_.RunAgain(now, batch->model, std::move(again), actions);
    Arm();
  }
  Perform(std::move(actions));
}

// It has ended two workers. How they ended is the operator's to know.
void Router::State::Condemn(uint32_t model, std::unique_ptr<QueuedRequest> request,
                            const std::string& how, TimePoint now) {
  const absl::Status sentence = absl::InternalError(
      absl::StrCat("model \"", request->model->config.name, "\": this request ended ",
                   request->is_probe ? "a worker" : "two workers",
                   ", so it is not run again; the server's log tells how it ended"));
  observer_.OnCondemned(request->model->config.name, request->model->version, how);
  Ban(model, *request, sentence, now);
  Refuse(std::move(request), sentence);
}

// Those like it that wait, or come, are not run either.
void Router::State::Ban(uint32_t model, const QueuedRequest& request, const absl::Status& sentence,
                        TimePoint now) {
  const ModelVersion& version = *request.model;
  const uint64_t fingerprint = FingerprintOf(version, request.inputs);
  quarantine_.Add(now, version, fingerprint);
  Requests alike;
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    scheduler_.NoteProof(now, model, actions);
    alike = scheduler_.TakeIf(model, [&](const QueuedRequest& waiting) {
      return !quarantine_.empty() && waiting.model->handle == version.handle &&
             waiting.bytes == request.bytes && AreEqual(waiting.inputs, request.inputs);
    });
  }
  for (auto& waiting : alike) Refuse(std::move(waiting), sentence);
  Perform(std::move(actions));
}

// Whoever does not wait for the second run of a request that crashes could else end a worker each
// time.
void Router::State::NoteGivenUp(const QueuedRequest& request, const absl::Status& status) {
  if (!request.ended_worker) return;
  if (!absl::IsDeadlineExceeded(status) && !absl::IsCancelled(status)) return;
  Ban(request.entry->number, request,
      absl::InternalError(absl::StrCat(
          "model \"", request.model->config.name,
          "\": a request like this ended a worker and was given up before its second run")),
      clock_.Now());
}

}  // namespace tandem
