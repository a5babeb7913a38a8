#include "server/signals.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "absl/status/statusor.h"
#include "core/thread.h"

namespace tandem::server {

namespace {

// They would end the process without a word, and come by mistake: SIGUSR1 from whoever rotates
// logs.
constexpr int kUnused[] = {SIGUSR1, SIGALRM, SIGVTALRM, SIGPROF, SIGIO};

// Where nobody else has a use for it: a profiler may, which was loaded before.
void Ignore(int signal) {
  struct sigaction action {};
  if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  sigaction(signal, &action, nullptr);
}

}  // namespace

Signals::Signals() {
  sigemptyset(&set_);
  for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR2}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  for (const int signal : kUnused) Ignore(signal);
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
  absl::StatusOr<std::thread> watcher = StartThread([this] {
    while (!stopping_.load()) {
      int signal = 0;
      const bool came = sigwait(&set_, &signal) == 0;
      // The others come too late to matter.
      if (came && (signal == SIGINT || signal == SIGTERM || signal == SIGQUIT)) ExitBy(signal);
    }
  });
  // Without one the process ends a little later.
  if (watcher.ok()) watcher_ = *std::move(watcher);
}

void Signals::ExitBy(int signal) { _exit(128 + signal); }

}  // namespace tandem::server
