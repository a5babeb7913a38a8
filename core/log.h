// Where the parts of the server that know no logging library write what an operator should read.
#pragma once

#include <functional>
#include <string>

namespace tandem {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Takes one line. Thread-safe. main() gives the real one.
using LogSink = std::function<void(LogLevel, const std::string&)>;

}  // namespace tandem
