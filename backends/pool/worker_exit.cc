#include "backends/pool/worker_exit.h"

#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace tandem {

std::string Describe(const WorkerExit& exit) {
  if (exit.signal == 0) return absl::StrCat("exited with code ", exit.code);
  const char* name = sigabbrev_np(exit.signal);
  if (name == nullptr) return absl::StrCat("killed by signal ", exit.signal);
  return absl::StrCat("killed by signal ", exit.signal, " (SIG", name, ")");
}

bool IsCrash(const WorkerExit& exit) {
  switch (exit.signal) {
    case SIGSEGV:
    case SIGABRT:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
      return true;
    default:
      return false;
  }
}

}  // namespace tandem
