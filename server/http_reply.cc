#include "server/http_reply.h"

#include <nlohmann/json.hpp>

namespace tandem::server {
namespace {

using nlohmann::json;

int HttpCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    // As others tell of a client that has gone: HTTP has no code for it.
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

void Send(int code, const json& body, httplib::Response* response) {
  response->status = code;
  // Names may hold bytes that are no UTF-8; JSON may not.
  response->set_content(body.dump(-1, ' ', false, json::error_handler_t::replace),
                        "application/json");
}

}  // namespace

void Reply(const absl::StatusOr<json>& body, httplib::Response* response) {
  if (body.ok()) return Send(200, *body, response);
  ReplyError(HttpCode(body.status().code()), std::string(body.status().message()), response);
}

void ReplyError(int code, const std::string& reason, httplib::Response* response) {
  Send(code, json{{"error", reason}}, response);
}

}  // namespace tandem::server
