#include "tests/support/program_path.h"

#include <filesystem>

namespace tandem {

std::string ProgramPath(std::string_view name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

}  // namespace tandem
