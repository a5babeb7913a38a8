#include "server/signals.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

namespace tandem::server {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(50);

}  // namespace

Signals::Signals() {
  sigemptyset(&set_);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

Signals::~Signals() {
  stopping_.store(true);
  if (watcher_.joinable()) watcher_.join();
}

std::optional<int> Signals::WaitFor(Duration timeout) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec wait{};
  wait.tv_sec = static_cast<time_t>(seconds.count());
  wait.tv_nsec = static_cast<long>((timeout - seconds).count());
  const int signal = sigtimedwait(&set_, nullptr, &wait);
  if (signal < 0) return std::nullopt;
  return signal;
}

void Signals::ExitOnNext() {
  watcher_ = std::thread([this] {
    while (!stopping_.load()) {
      // The shell's convention for a program that a signal ended.
      if (const std::optional<int> signal = WaitFor(kPoll)) _exit(128 + *signal);
    }
  });
}

}  // namespace tandem::server
