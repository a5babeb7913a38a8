#include "client/chaos/worker_log.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace tandem::client {
namespace {

// Takes the text up to a blank off the front.
absl::string_view TakeWord(absl::string_view& text) {
  const size_t blank = text.find(' ');
  const absl::string_view word = text.substr(0, blank);
  text.remove_prefix(blank == absl::string_view::npos ? text.size() : blank + 1);
  return word;
}

std::optional<WallTime> ParseTime(const std::string& text) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return std::nullopt;
  return WallTime(std::chrono::microseconds(absl::ToUnixMicros(time)));
}

// "worker cpu/0 process 4711 ended: killed by …", "worker cpu/0 process 4711 is back with …".
std::optional<WorkerLogEvent> ParseMessage(absl::string_view text) {
  WorkerLogEvent event;
  if (TakeWord(text) != "worker") return std::nullopt;
  event.worker = std::string(TakeWord(text));
  if (TakeWord(text) != "process" || !absl::SimpleAtoi(TakeWord(text), &event.pid)) {
    return std::nullopt;
  }
  if (absl::ConsumePrefix(&text, "ended: ")) {
    event.kind = WorkerLogEvent::Kind::kEnded;
    event.how = std::string(text);
    return event;
  }
  if (!absl::ConsumePrefix(&text, "is back")) return std::nullopt;
  event.kind = WorkerLogEvent::Kind::kBack;
  return event;
}

}  // namespace

std::optional<WorkerLogEvent> ParseWorkerLogLine(absl::string_view line) {
  const nlohmann::json json =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("time") || !json["time"].is_string() ||
      !json.contains("message") || !json["message"].is_string()) {
    return std::nullopt;
  }
  const std::optional<WallTime> time = ParseTime(json["time"].get<std::string>());
  if (!time.has_value()) return std::nullopt;
  std::optional<WorkerLogEvent> event = ParseMessage(json["message"].get<std::string>());
  if (event.has_value()) event->time = *time;
  return event;
}

std::vector<WorkerLogEvent> ParseWorkerLog(absl::string_view text) {
  std::vector<WorkerLogEvent> events;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (std::optional<WorkerLogEvent> event = ParseWorkerLogLine(line); event.has_value())
      events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace tandem::client
