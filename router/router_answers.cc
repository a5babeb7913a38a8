// How requests are answered, and counted.
#include <memory>
#include <string>
#include <utility>

#include "router/router_state.h"

namespace tandem {
namespace {

// An answer that comes after the client has gone, or after its deadline, is none for it.
absl::Status WhatClientGets(const absl::Status& status, const QueuedRequest& request,
                            TimePoint now) {
  if (!status.ok() || !request.request->is_cancelled()) return status;
  if (now >= request.deadline()) return absl::DeadlineExceededError("it was answered too late");
  return absl::CancelledError("the client cancelled the request while it ran");
}

}  // namespace

void Router::State::Refuse(std::unique_ptr<QueuedRequest> queued, absl::Status status) {
  InferResponse response;
  response.status = std::move(status);
  Answer(std::move(queued), std::move(response));
}

void Router::State::NoteRefused(const absl::Status& status) {
  observer_.OnRequestDone({std::string(), 0, status, Placement(), Duration{0}});
}

void Router::State::Answer(std::unique_ptr<QueuedRequest> queued, InferResponse response) {
  // A name that no model has is the client's: counting by it would let clients grow the metrics.
  const std::string no_model;
  ModelEntry* entry = queued->entry;
  response.model = queued->request->model;
  response.version = entry != nullptr ? entry->version : 0;
  const TimePoint now = clock_.Now();
  const Duration time = now - queued->arrival();
  const absl::Status told = WhatClientGets(response.status, *queued, now);
  if (entry != nullptr) entry->totals.Note(told, time, queued->rows, response.placement);
  observer_.OnRequestDone({entry != nullptr ? entry->name : no_model, response.version, told,
                           response.placement, time});
  ResponseCallback done = std::move(queued->done);
  bytes_in_flight_.fetch_sub(queued->bytes, std::memory_order_relaxed);
  queued.reset();
  if (entry != nullptr && entry->in_flight.Leave()) Bury({entry});
  std::move(done)(std::move(response));
  if (requests_in_flight_.fetch_sub(1) == 1 && draining_.load()) {
    const std::lock_guard lock(drain_mutex_);
    drained_.notify_all();
  }
}

}  // namespace tandem
