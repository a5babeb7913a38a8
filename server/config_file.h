// The file of `tandem serve --config FILE`, in the terms of the flags. Values; free functions,
// thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/pool_spec.h"

namespace tandem::server {

struct ConfigFile {
  struct Pool {
    // "server.pbtxt:7: pools".
    std::string where;
    PoolSpecFields fields;
  };
  // Setting name, as of the flag → value; and → where it stands, as in "server.pbtxt:3: grpc_port".
  std::map<std::string, std::string> settings;
  std::map<std::string, std::string> where;
  std::vector<Pool> pools;
};

// NOT_FOUND: no such file. INVALID_ARGUMENT: "FILE:LINE:COLUMN: …".
absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path);

// The same, of the file's text.
absl::StatusOr<ConfigFile> ParseConfigFile(absl::string_view text, const std::string& name);

}  // namespace tandem::server
