#include "core/folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace tandem {

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  // Not in a range-based loop, whose step throws.
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return absl::UnavailableError(absl::StrCat("it cannot be listed: ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tandem
