#include "server/health_reporter.h"

#include "absl/time/time.h"

namespace tandem::server {
namespace {

// Short beside the interval of any prober.
constexpr absl::Duration kInterval = absl::Milliseconds(100);

}  // namespace

HealthReporter::HealthReporter(const Router& router, const ServingState& state, GrpcServer& server)
    : router_(router), state_(state), server_(server), thread_([this] { Loop(); }) {}

HealthReporter::~HealthReporter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void HealthReporter::Refresh() {
  std::map<std::string, bool> now;
  now[""] = state_.ready();
  for (const ModelStatus& model : router_.Models()) {
    now[model.name] |= model.state == ModelState::kReady && !state_.draining();
  }
  absl::MutexLock lock(&mutex_);
  for (const auto& [service, serving] : now) {
    const auto told = told_.find(service);
    if (told == told_.end() || told->second != serving) server_.SetServing(service, serving);
  }
  // A model that is gone.
  for (const auto& [service, serving] : told_) {
    if (serving && now.count(service) == 0) server_.SetServing(service, false);
  }
  told_ = std::move(now);
}

void HealthReporter::Loop() {
  while (true) {
    Refresh();
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kInterval)) return;
  }
}

}  // namespace tandem::server
