// The settings of `tandem serve` but --pool and --config, one entry for each: its flag, its
// variable, its line in the configuration file and in the help, how its value is read, and whether
// SIGHUP may change it. Values; free functions, thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/serve_options.h"

namespace tandem::server {

// What a running server makes of another value at SIGHUP.
enum class AtReload { kRefused, kTaken };

struct Setting {
  // "grpc-port": the flag is --grpc-port, the variable TANDEM_GRPC_PORT, the field grpc_port.
  const char* name;
  const char* value_name;
  const char* help;
  AtReload at_reload;
  // INVALID_ARGUMENT, with what was expected: then the options stay as they are.
  absl::Status (*read)(const std::string& value, ServeOptions& options);
  bool (*is_same)(const ServeOptions& a, const ServeOptions& b);
};

absl::Span<const Setting> Settings();

}  // namespace tandem::server
