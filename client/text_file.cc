#include "client/text_file.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

// A device that has no end would else take all memory.
constexpr size_t kMostText = size_t{1} << 30;

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is a folder; expected a file that can be read"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text;
  // Not by iterators, which throw where the system refuses to read.
  for (char block[1 << 14]; stream.read(block, sizeof(block)) || stream.gcount() > 0;) {
    text.append(block, static_cast<size_t>(stream.gcount()));
    if (text.size() > kMostText) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " has more than ", kMostText >> 20, " MiB, which is the most"));
    }
  }
  if (stream.bad() || !stream.eof())
    return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  return text;
}

}  // namespace tandem::client
