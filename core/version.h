#pragma once

#include <string_view>

namespace tandem {

// The project's version, "MAJOR.MINOR.PATCH".
std::string_view Version();

}  // namespace tandem
