// Answers over HTTP. Functions on values of the caller's, thread-safe.
#pragma once

#include <httplib.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::server {

// The body, or {"error": …} with the code of HTTP for that status.
void Reply(const absl::StatusOr<nlohmann::json>& body, httplib::Response* response);

// {"error": …} with that code.
void ReplyError(int code, const std::string& reason, httplib::Response* response);

}  // namespace tandem::server
