#include "server/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tandem::server {
namespace {

std::vector<int> UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  if (cores.empty()) cores.push_back(0);
  return cores;
}

// The driver shows each GPU as /dev/nvidiaN. CUDA counts those that are there from 0, whatever
// their N.
std::vector<int> DriverGpus() {
  std::vector<int> gpus;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/dev", error)) {
    const std::string name = entry.path().filename().string();
    absl::string_view number = name;
    uint32_t minor = 0;
    if (absl::ConsumePrefix(&number, "nvidia") && absl::SimpleAtoi(number, &minor)) {
      gpus.push_back(static_cast<int>(gpus.size()));
    }
  }
  return gpus;
}

uint64_t PhysicalMemory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGE_SIZE);
  if (pages < 0 || page_bytes < 0) return 0;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
}

}  // namespace

Machine FindMachine() {
  Machine machine;
  machine.cores = UsableCores();
  machine.gpus = DriverGpus();
  machine.memory_bytes = PhysicalMemory();
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return machine;
  // CUDA's rule: the list ends before the first entry that names no device.
  std::vector<int> chosen;
  for (const absl::string_view entry : absl::StrSplit(visible, ',')) {
    int gpu = 0;
    if (!absl::SimpleAtoi(entry, &gpu) ||
        std::find(machine.gpus.begin(), machine.gpus.end(), gpu) == machine.gpus.end()) {
      break;
    }
    chosen.push_back(gpu);
  }
  machine.gpus = std::move(chosen);
  return machine;
}

}  // namespace tandem::server
