#include "backends/pool/worker_exit.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/worker_exit_code.h"

namespace tandem {

std::string Describe(const WorkerExit& exit) {
  if (exit.signal == 0 && exit.code == kWorkerDeviceLost) {
    return absl::StrCat("exited with code ", exit.code, ": its device can run nothing more");
  }
  if (exit.signal == 0) return absl::StrCat("exited with code ", exit.code);
  const char* name = sigabbrev_np(exit.signal);
  if (name == nullptr) return absl::StrCat("killed by signal ", exit.signal);
  return absl::StrCat("killed by signal ", exit.signal, " (SIG", name, ")");
}

std::string AdviceAtStart(const WorkerExit& exit) {
  // The dynamic loader's code. The worker's program itself has no such one.
  constexpr int kLibraryNotFound = 127;
  if (exit.signal == 0 && exit.code == kLibraryNotFound) {
    return "a library of its program was not found, most likely LibTorch: run ./dev build, or "
           "set TANDEM_TORCH_DIR to LibTorch's folder and build again";
  }
  return "its own messages say why";
}

bool WasSignalled(const WorkerExit& exit) {
  constexpr int kAnybodys[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  return std::find(std::begin(kAnybodys), std::end(kAnybodys), exit.signal) != std::end(kAnybodys);
}

}  // namespace tandem
