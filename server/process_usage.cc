#include "server/process_usage.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tandem::server {

std::optional<ProcessUsage> ReadProcessUsage(int64_t pid) {
  const std::string folder = pid == 0 ? "/proc/self" : absl::StrCat("/proc/", pid);
  std::ifstream stream(folder + "/stat");
  std::string line;
  if (!std::getline(stream, line)) return std::nullopt;
  // The second field is the program's name in brackets and may hold anything; the rest follows its
  // last bracket.
  const size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(bracket + 1));
  // utime and stime are the fields 14 and 15, the resident pages the field 24; the third comes
  // first here.
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  for (int field = 16; field < 24; ++field) fields >> skipped;
  uint64_t pages = 0;
  if (!(fields >> pages)) return std::nullopt;
  ProcessUsage usage;
  usage.resident_bytes = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  usage.cpu_seconds =
      static_cast<double>(user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return usage;
}

}  // namespace tandem::server
