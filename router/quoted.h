// Names that a client chose, in messages to people. Pure function, thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// The name in quotes: at most its first 100 bytes, with what is not printable escaped.
std::string Quoted(absl::string_view name);

}  // namespace tandem
