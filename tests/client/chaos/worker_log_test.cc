#include "client/chaos/worker_log.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using Kind = WorkerLogEvent::Kind;

TEST_CASE("A worker's end and return are read from the log, to the microsecond", "[chaos]") {
  const std::vector<WorkerLogEvent> events = ParseWorkerLog(
      R"log({"time":"2026-11-25T13:00:00.000001Z","level":"info","message":"worker cpu/0 process 7 is ready: plain on cpu"}
{"time":"2026-11-25T13:00:01.250000Z","level":"warning","message":"worker cpu/0 process 7 ended: killed by signal 9 (SIGKILL)"}
{"time":"2026-11-25T13:00:01.500001Z","level":"info","message":"worker cpu/0 process 8 is back with 4 models after 251 ms"}
)log");
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kEnded);
  CHECK(events[0].worker == "cpu/0");
  CHECK(events[0].pid == 7);
  CHECK(events[0].how == "killed by signal 9 (SIGKILL)");
  CHECK(events[1].kind == Kind::kBack);
  CHECK(events[1].pid == 8);
  CHECK(events[1].time - events[0].time == std::chrono::microseconds(250001));
  // 2026-11-25T13:00:01.25Z.
  CHECK(events[0].time.time_since_epoch() == std::chrono::microseconds(1795611601250000));
}

TEST_CASE("Lines that tell something else, or nothing, are passed over", "[chaos]") {
  for (
      const char* line :
      {"", "nonsense", "{", "7", R"({"time":"2026-11-25T13:00:01Z"})",
       R"({"time":"yesterday","message":"worker cpu/0 process 7 ended: exited"})",
       R"({"time":"2026-11-25T13:00:01Z","message":"worker cpu/0 is killed: it broke the protocol"})",
       R"({"time":"2026-11-25T13:00:01Z","message":"worker cpu/0 process x ended: exited"})",
       R"({"time":"2026-11-25T13:00:01Z","message":"worker"})",
       R"({"time":"2026-11-25T13:00:01Z","message":7})"}) {
    INFO(line);
    CHECK(!ParseWorkerLogLine(line).has_value());
  }
}

}  // namespace
}  // namespace tandem::client
