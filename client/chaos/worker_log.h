// What a server's log (--log-format=json) tells of its workers' lives, and when. Pure.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem::client {

// Microseconds since 1970, as the log has them.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

struct WorkerLogEvent {
  enum class Kind {
    // The process has ended.
    kEnded,
    // A process that was started again holds its models.
    kBack,
  };
  WallTime time;
  Kind kind = Kind::kEnded;
  // "cpu/0".
  std::string worker;
  pid_t pid = 0;
  // kEnded: how, as in "killed by signal 9 (SIGKILL)".
  std::string how;
};

// Nothing where the line tells something else.
std::optional<WorkerLogEvent> ParseWorkerLogLine(absl::string_view line);

std::vector<WorkerLogEvent> ParseWorkerLog(absl::string_view text);

}  // namespace tandem::client
