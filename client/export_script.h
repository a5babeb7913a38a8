// The exporter, client/python/tandem_export, built in: what it makes fits the server that it
// came with, and it needs no place beside the program.
#pragma once

#include <string_view>

namespace tandem::client {

// Ends with a zero.
extern const std::string_view kExportScript;

}  // namespace tandem::client
