// Finds the programs that a test starts: they lie beside the test program.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace tandem {

// Absolute path of the program `name` in the folder of the running test program.
std::string ProgramPath(std::string_view name);

}  // namespace tandem
