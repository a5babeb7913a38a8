#include "server/health_reporter.h"

#include <chrono>

namespace tandem::server {
namespace {

// Short beside the interval of any prober.
constexpr auto kInterval = std::chrono::milliseconds(100);

}  // namespace

HealthReporter::HealthReporter(const Router& router, const ServingState& state,
                               HealthService& health)
    : router_(router), state_(state), health_(health), thread_([this] { Loop(); }) {}

HealthReporter::~HealthReporter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_one();
  thread_.join();
}

void HealthReporter::Refresh() {
  std::map<std::string, bool> now;
  now[""] = state_.ready();
  for (const ModelStatus& model : router_.Models()) {
    now[model.name] |= model.state == ModelState::kReady && !state_.draining();
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [service, serving] : now) {
    const auto told = told_.find(service);
    if (told == told_.end() || told->second != serving) health_.SetServing(service, serving);
  }
  // A model that is gone.
  for (const auto& [service, serving] : told_) {
    if (serving && now.count(service) == 0) health_.SetServing(service, false);
  }
  told_ = std::move(now);
}

void HealthReporter::Loop() {
  while (true) {
    Refresh();
    std::unique_lock lock(mutex_);
    if (stopped_.wait_for(lock, kInterval, [this] { return stopping_; })) return;
  }
}

}  // namespace tandem::server
