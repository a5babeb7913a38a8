#include "server/port_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/server/full_disk.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem::server {
namespace {

std::string Read(const std::string& path) {
  std::ifstream stream(path);
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

}  // namespace

TEST_CASE("The ports and the process are written as JSON, over what was there", "[port_file]") {
  const TemporaryFolder folder;
  const std::string path = folder.Write("ports", "of the server before");
  REQUIRE(CheckPortFile(path).ok());
  CHECK(Read(path) == "of the server before");
  REQUIRE(WritePortFile(path, {1, 2, 3}).ok());
  CHECK(Read(path) ==
        "{\"grpc\":1,\"http\":2,\"metrics\":3,\"pid\":" + std::to_string(getpid()) + "}\n");
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("A server that ends takes its port file away, and no other's", "[port_file]") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "ports").string();
  REQUIRE(WritePortFile(path, {1, 2, 3}).ok());
  RemovePortFile(path, {1, 2, 4});
  CHECK(std::filesystem::exists(path));
  RemovePortFile(path, {1, 2, 3});
  CHECK(std::filesystem::is_empty(folder.path()));
  RemovePortFile(path, {1, 2, 3});
}

TEST_CASE("A port file that cannot be written is found before", "[port_file]") {
  const TemporaryFolder folder;
  CHECK(absl::IsInvalidArgument(CheckPortFile(folder.path().string())));
  CHECK(absl::IsInvalidArgument(CheckPortFile((folder.path() / "none/ports").string())));
  CHECK(absl::IsUnavailable(WritePortFile((folder.path() / "none/ports").string(), {})));
}

TEST_CASE("A pipe is not waited for when it is checked", "[port_file]") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "pipe").string();
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK(CheckPortFile(path).ok());
  CHECK(std::filesystem::is_fifo(path));
}

TEST_CASE("A full disk leaves no draft of the port file behind", "[port_file]") {
  const TemporaryFolder folder;
  absl::Status status;
  {
    const FullDisk full;
    status = WritePortFile((folder.path() / "ports").string(), {1, 2, 3});
  }
  CHECK(absl::IsUnavailable(status));
  CHECK(std::filesystem::is_empty(folder.path()));
}

}  // namespace tandem::server
