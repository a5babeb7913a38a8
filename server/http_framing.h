// Where a request over HTTP ends: what the library does not look at. Pure function, thread-safe.
#pragma once

#include <httplib.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace tandem::server {

// The bytes that its body may have at most, `largest` where it tells none. INVALID_ARGUMENT where
// the server might see the request end elsewhere than a proxy before it does (RFC 9112, 6.3): what
// it leaves of one would be read as another request, which the proxy has not seen. Where `largest`
// is 0, no request may have a body.
absl::StatusOr<uint64_t> BodyBytes(const httplib::Request& request, uint64_t largest);

}  // namespace tandem::server
