#include "server/port_file.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

namespace fs = std::filesystem;

// Of a pipe or a device, which cannot be replaced.
bool IsWrittenInPlace(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return fs::exists(status) && !fs::is_regular_file(status);
}

std::string DraftOf(const std::string& path) { return absl::StrCat(path, ".new"); }

std::string Unwritable(const std::string& path) {
  return absl::StrCat("--port-file=", path, ": the file cannot be written");
}

std::string Contents(Ports ports) {
  return absl::StrCat("{\"grpc\":", ports.grpc, ",\"http\":", ports.http,
                      ",\"metrics\":", ports.metrics, ",\"pid\":", getpid(), "}\n");
}

}  // namespace

absl::Status CheckPortFile(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--port-file=", path, ": it is a folder; name a file in it"));
  }
  if (IsWrittenInPlace(path)) {
    // To open a pipe would wait for its reader.
    if (access(path.c_str(), W_OK) == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(Unwritable(path));
  }
  const std::string draft = DraftOf(path);
  if (!std::ofstream(draft)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Unwritable(path), "; is its folder there, and may this user write to it?"));
  }
  std::remove(draft.c_str());
  return absl::OkStatus();
}

absl::Status WritePortFile(const std::string& path, Ports ports) {
  const bool in_place = IsWrittenInPlace(path);
  const std::string file = in_place ? path : DraftOf(path);
  std::ofstream stream(file);
  stream << Contents(ports);
  stream.close();
  if (!stream || (!in_place && std::rename(file.c_str(), path.c_str()) != 0)) {
    if (!in_place) std::remove(file.c_str());
    return absl::UnavailableError(Unwritable(path));
  }
  return absl::OkStatus();
}

void RemovePortFile(const std::string& path, Ports ports) {
  if (IsWrittenInPlace(path)) return;
  std::ifstream stream(path);
  const std::string found((std::istreambuf_iterator<char>(stream)),
                          std::istreambuf_iterator<char>());
  if (found == Contents(ports)) std::remove(path.c_str());
}

}  // namespace tandem::server
