#include "backends/pool/cpu_waits.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tandem {

std::optional<CpuWaits> ReadCpuWaits(pid_t process) {
  CpuWaits waits;
  std::error_code error;
  const std::filesystem::path tasks = absl::StrCat("/proc/", process, "/task");
  // A thread may end meanwhile.
  for (std::filesystem::directory_iterator entry(tasks, error), end; !error && entry != end;
       entry.increment(error)) {
    pid_t thread = 0;
    if (!absl::SimpleAtoi(entry->path().filename().string(), &thread)) continue;
    std::ifstream stream(entry->path() / "schedstat");
    // In nanoseconds.
    int64_t ran = 0;
    int64_t waited = 0;
    if (stream >> ran >> waited) waits[thread] = std::chrono::nanoseconds(waited);
  }
  if (waits.empty()) return std::nullopt;
  return waits;
}

Duration LongestWait(const CpuWaits& before, const CpuWaits& after) {
  Duration longest{0};
  for (const auto& [thread, waited] : after) {
    const auto found = before.find(thread);
    longest = std::max(longest, waited - (found == before.end() ? Duration{0} : found->second));
  }
  return longest;
}

}  // namespace tandem
