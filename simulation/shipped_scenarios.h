// The scenarios that come with the program: the files in simulation/scenarios/, built in.
#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace tandem::simulation {

struct ShippedScenario {
  std::string_view name;
  std::string_view json;
};

// In the order of their names.
absl::Span<const ShippedScenario> ShippedScenarios();

}  // namespace tandem::simulation
