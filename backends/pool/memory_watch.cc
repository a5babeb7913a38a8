#include "backends/pool/memory_watch.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem {

std::optional<uint64_t> OwnMemory(pid_t pid) {
  std::ifstream stream(absl::StrCat("/proc/", pid, "/statm"));
  // In pages; `shared` are those of files and of shared memory.
  uint64_t size = 0;
  uint64_t resident = 0;
  uint64_t shared = 0;
  if (!(stream >> size >> resident >> shared)) return std::nullopt;
  return (resident - std::min(resident, shared)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

bool MemoryWatch::IsDue(TimePoint now) {
  if (limit_ == 0 || now < next_) return false;
  next_ = now + kInterval;
  return true;
}

std::string MemoryWatch::Judge(uint64_t bytes) const {
  if (limit_ == 0 || bytes <= limit_) return "";
  return absl::StrCat(bytes >> 20, " MiB of memory and its pool allows ", limit_ >> 20, " MiB");
}

}  // namespace tandem
