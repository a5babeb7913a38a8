#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Escapes what would break a line; for JSON also quotes and backslashes.
std::string Escape(const std::string& line, LogFormat format) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(line.size());
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      escaped += format == LogFormat::kJson ? "\\u00" : "\\x";
      escaped += kHex[byte >> 4];
      escaped += kHex[byte & 15];
    } else {
      if (format == LogFormat::kJson && (c == '"' || c == '\\')) escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

// Of the process, as Protobuf's responder is; never destroyed, since threads may log until the end.
LogSink& ProtobufLog() {
  static LogSink& log = *new LogSink;
  return log;
}

void OnProtobufLog(google::protobuf::LogLevel level, const char* /*file*/, int /*line*/,
                   const std::string& message) {
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  ProtobufLog()(fatal ? LogLevel::kError : LogLevel::kDebug, absl::StrCat("protobuf: ", message));
}

}  // namespace

Log::Log(LogLevel level, LogFormat format)
    : logger_(std::make_shared<spdlog::logger>("tandem",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  SetLevel(level);
  logger_->flush_on(spdlog::level::trace);
  logger_->set_pattern(format == LogFormat::kJson
                           ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","message":"%v"})"
                           : "%Y-%m-%d %H:%M:%S.%e %l %v",
                       format == LogFormat::kJson ? spdlog::pattern_time_type::utc
                                                  : spdlog::pattern_time_type::local);
  sink_ = [logger = logger_, format](LogLevel line_level, const std::string& line) {
    const spdlog::level::level_enum spdlog_level = ToSpdlog(line_level);
    if (logger->should_log(spdlog_level)) logger->log(spdlog_level, Escape(line, format));
  };
}

void Log::SetLevel(LogLevel level) { logger_->set_level(ToSpdlog(level)); }

void TakeProtobufLog(LogSink log) {
  ProtobufLog() = std::move(log);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

}  // namespace tandem::server
