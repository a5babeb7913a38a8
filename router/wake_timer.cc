#include "router/wake_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>

namespace tandem {
namespace {

// A time of zero would stop the timer.
constexpr std::chrono::nanoseconds kLeast{1};

}  // namespace

WakeTimer::WakeTimer() : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
  if (timer_ < 0) throw std::system_error(errno, std::generic_category(), "timer");
}

WakeTimer::~WakeTimer() { close(timer_); }

void WakeTimer::Set(Duration after) {
  const auto time = std::max<std::chrono::nanoseconds>(after, kLeast);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  itimerspec once{};
  once.it_value.tv_sec = static_cast<time_t>(seconds.count());
  once.it_value.tv_nsec = static_cast<long>((time - seconds).count());
  timerfd_settime(timer_, 0, &once, nullptr);
}

void WakeTimer::Sleep() const {
  uint64_t times = 0;
  // A signal may interrupt it.
  while (read(timer_, &times, sizeof times) < 0 && errno == EINTR) {
  }
}

}  // namespace tandem
