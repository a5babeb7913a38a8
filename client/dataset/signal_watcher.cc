#include "client/dataset/signal_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "client/exit_code.h"

namespace tandem::client {

SignalWatcher::SignalWatcher() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGINT);
  sigaddset(&watched, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &watched, &before_);
  signals_ = signalfd(-1, &watched, SFD_CLOEXEC);
  end_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Run(); });
}

SignalWatcher::~SignalWatcher() {
  eventfd_write(end_, 1);
  thread_.join();
  close(signals_);
  close(end_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void SignalWatcher::Set(std::function<void()> on_signal) {
  const std::lock_guard<std::mutex> lock(mutex_);
  on_signal_ = std::move(on_signal);
}

void SignalWatcher::OnSignal() {
  const auto now = std::chrono::steady_clock::now();
  if (called_.has_value() && now - *called_ < kSameSignal) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::function<void()> call = std::exchange(on_signal_, nullptr);
  // Nobody has anything to put in order, or it takes the user too long.
  if (call == nullptr) _exit(kExitInterrupted);
  call();
  called_ = std::chrono::steady_clock::now();
}

void SignalWatcher::Run() {
  std::array<pollfd, 2> events = {{{signals_, POLLIN, 0}, {end_, POLLIN, 0}}};
  while (true) {
    if (poll(events.data(), events.size(), -1) < 0) continue;
    if ((events[1].revents & POLLIN) != 0) return;
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof(info)) == sizeof(info)) OnSignal();
  }
}

}  // namespace tandem::client
