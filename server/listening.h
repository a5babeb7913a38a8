// Addresses to listen on, and why one cannot be. Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tandem::server {

// Why a library could not listen there; never OK. `port_flag` names the setting of the port, as in
// "grpc-port". INVALID_ARGUMENT: the address is none, or none of this machine's. UNAVAILABLE: the
// port is taken, or not for this user.
absl::Status WhyNotListening(const std::string& address, uint16_t port,
                             absl::string_view port_flag);

}  // namespace tandem::server
