#include "server/http_framing.h"

#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

// The library reads no body of other methods, but that of DELETE now and then.
bool MayHaveBody(const httplib::Request& request) {
  constexpr absl::string_view kMethods[] = {"POST", "PUT", "PATCH"};
  return absl::c_linear_search(kMethods, request.method);
}

// One with a blank at its end is another header to the library, and not to all proxies.
absl::Status CheckNames(const httplib::Request& request) {
  for (const auto& [name, value] : request.headers) {
    if (!name.empty() && absl::c_all_of(name, absl::ascii_isgraph)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("a header has the name ", Quoted(name), ": expected one without blanks"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> BodyBytes(const httplib::Request& request, uint64_t largest) {
  if (absl::Status names = CheckNames(request); !names.ok()) return names;
  const size_t lengths = request.get_header_value_count("Content-Length");
  const size_t encodings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + encodings > 1) {
    return absl::InvalidArgumentError(
        "the request tells its length twice: expected one Content-Length or Transfer-Encoding");
  }
  const std::string length = request.get_header_value("Content-Length");
  uint64_t bytes = 0;
  if (lengths > 0 &&
      (!absl::c_all_of(length, absl::ascii_isdigit) || !absl::SimpleAtoi(length, &bytes))) {
    return absl::InvalidArgumentError(
        absl::StrCat("Content-Length is ", Quoted(length), ": expected a number of bytes"));
  }
  const std::string encoding = request.get_header_value("Transfer-Encoding");
  if (encodings > 0 && !absl::EqualsIgnoreCase(encoding, "chunked")) {
    return absl::InvalidArgumentError(
        absl::StrCat("Transfer-Encoding is ", Quoted(encoding), ": expected chunked"));
  }
  if (!MayHaveBody(request) || largest == 0) {
    if (bytes == 0 && encodings == 0) return 0;
    return absl::InvalidArgumentError(absl::StrCat("a ", Quoted(request.method), " has no body ",
                                                   "here",
                                                   largest > 0 ? ": send it with POST" : ""));
  }
  // The library would read until the connection ends.
  if (lengths + encodings == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", Quoted(request.method), " tells no length: expected Content-Length"));
  }
  return encodings > 0 ? largest : bytes;
}

}  // namespace tandem::server
