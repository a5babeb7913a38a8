// A library for LD_PRELOAD that stands in for pidfd_open(2) where valgrind's age has it unknown:
// the descriptor is a pipe that gets readable when the child has ended.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdarg>
#include <thread>

namespace {

using Syscall = long (*)(long, ...);

int PidfdOpen(pid_t pid) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  std::thread([pid, ended = ends[1]] {
    siginfo_t info;
    // Who owns the child reaps it.
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    [[maybe_unused]] const ssize_t written = write(ended, "", 1);
    close(ended);
  }).detach();
  return ends[0];
}

}  // namespace

extern "C" long syscall(long number, ...) {
  static const auto real = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_pidfd_open) return PidfdOpen(static_cast<pid_t>(arguments[0]));
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
              arguments[5]);
}
