#include "client/chaos/footprint.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/file_text.h"
#include "core/folder.h"

namespace tandem::client {
namespace {

constexpr size_t kMostText = size_t{1} << 20;

// Empty where the process has ended, also meanwhile.
std::string ReadAll(const std::string& path) { return ReadFileText(path, kMostText).value_or(""); }

}  // namespace

std::optional<Footprint> ReadFootprint(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid);
  std::ifstream statm(folder + "/statm");
  int64_t size = 0;
  int64_t resident = 0;
  const absl::StatusOr<std::vector<std::string>> descriptors = ListFolder(folder + "/fd");
  const absl::StatusOr<std::vector<std::string>> threads = ListFolder(folder + "/task");
  if (!(statm >> size >> resident) || !descriptors.ok() || !threads.ok()) {
    return std::nullopt;
  }
  const std::string name = ReadAll(folder + "/comm");
  const auto own = std::count_if(threads->begin(), threads->end(), [&](const std::string& thread) {
    return ReadAll(absl::StrCat(folder, "/task/", thread, "/comm")) == name;
  });
  return Footprint{resident * sysconf(_SC_PAGESIZE), static_cast<int64_t>(descriptors->size()),
                   own};
}

// The name in /proc/PID/stat may hold anything; the state and the parent stand behind its last ')'.
pid_t ParentOf(pid_t pid) {
  const std::string stat = ReadAll(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  char state = 0;
  int parent = 0;
  const int read = std::sscanf(stat.c_str() + name_end + 1, " %c %d", &state, &parent);
  return read == 2 ? parent : 0;
}

bool IsWorker(pid_t pid) {
  const std::string line = ReadAll(absl::StrCat("/proc/", pid, "/cmdline"));
  const std::vector<std::string> arguments = absl::StrSplit(line, '\0');
  return arguments.size() >= 2 && arguments[1].rfind("--control-fd=", 0) == 0;
}

Footprint Growth(const Footprint& before, const Footprint& after) {
  return {after.resident_bytes - before.resident_bytes, after.descriptors - before.descriptors,
          after.threads - before.threads};
}

bool IsLeak(const Footprint& growth) {
  return growth.resident_bytes > kMostResidentGrowth || growth.descriptors > 0 ||
         growth.threads > 0;
}

}  // namespace tandem::client
