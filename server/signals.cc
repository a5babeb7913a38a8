#include "server/signals.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

namespace tandem::server {

Signals::Signals() {
  sigemptyset(&set_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR2}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

Signals::~Signals() {
  stopping_.store(true);
  if (!watcher_.joinable()) return;
  pthread_kill(watcher_.native_handle(), SIGHUP);
  watcher_.join();
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
      int signal = 0;
      const bool came = sigwait(&set_, &signal) == 0;
      // The shell's convention for a program that a signal ended. The others come too late to
      // matter.
      if (came && (signal == SIGINT || signal == SIGTERM)) _exit(128 + signal);
    }
  });
}

}  // namespace tandem::server
