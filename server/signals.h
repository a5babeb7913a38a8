// SIGINT, SIGTERM, SIGQUIT, SIGHUP and SIGUSR2 as something to wait for. One for the process, made
// before any thread is, so that all of them have these signals blocked. Programs that are started
// must unblock them. Other signals that would end the process by mistake are ignored.
#pragma once

#include <signal.h>

#include <atomic>
#include <optional>
#include <thread>

#include "core/clock.h"

namespace tandem::server {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // The signal that came, or nothing where none does within `timeout`. By one thread.
  std::optional<int> WaitFor(Duration timeout) const;

  // From now on the next SIGINT, SIGTERM or SIGQUIT ends the process at once. Wait no more
  // afterwards.
  void ExitOnNext();
  // Ends the process at once, with the shell's exit code for a program that the signal ended.
  [[noreturn]] static void ExitBy(int signal);

 private:
  sigset_t set_;
  std::atomic<bool> stopping_{false};
  std::thread watcher_;
};

}  // namespace tandem::server
