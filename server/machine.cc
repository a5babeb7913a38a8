#include "server/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/folder.h"

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

// The first thread of the physical core that the core is a thread of: "0,8" or "0-1" begins with
// it.
int PhysicalCore(int core) {
  std::ifstream stream(
      absl::StrCat("/sys/devices/system/cpu/cpu", core, "/topology/thread_siblings_list"));
  int first = core;
  return stream >> first ? first : core;
}

// A core's folder holds a link to its node.
int NodeOf(int core) {
  const auto names = ListFolder(absl::StrCat("/sys/devices/system/cpu/cpu", core));
  if (!names.ok()) return 0;
  for (const std::string& name : *names) {
    absl::string_view number = name;
    int node = 0;
    if (absl::ConsumePrefix(&number, "node") && absl::SimpleAtoi(number, &node)) return node;
  }
  return 0;
}

// The driver shows each GPU as /dev/nvidiaN. CUDA counts those that are there from 0, whatever
// their N.
std::vector<int> DriverGpus() {
  std::vector<int> gpus;
  const auto names = ListFolder("/dev");
  if (!names.ok()) return gpus;
  for (const std::string& name : *names) {
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

std::optional<int> NodeOfAll(const Machine& machine, const std::vector<int>& cores) {
  const std::set<int> all(machine.nodes.begin(), machine.nodes.end());
  std::set<int> used;
  for (size_t i = 0; i < std::min(machine.cores.size(), machine.nodes.size()); ++i) {
    const bool in_use =
        cores.empty() || std::find(cores.begin(), cores.end(), machine.cores[i]) != cores.end();
    if (in_use) used.insert(machine.nodes[i]);
  }
  if (all.size() < 2 || used.size() != 1) return std::nullopt;
  return *used.begin();
}

absl::Status UseCores(const std::vector<int>& cores) {
  if (cores.empty()) return absl::OkStatus();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) {
    if (core < CPU_SETSIZE) CPU_SET(core, &set);
  }
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "front-end-cores: the front end cannot use them");
}

Machine FindMachine() {
  Machine machine;
  machine.cores = UsableCores();
  for (const int core : machine.cores) {
    machine.physical_cores.push_back(PhysicalCore(core));
    machine.nodes.push_back(NodeOf(core));
  }
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
