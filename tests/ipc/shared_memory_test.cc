#include "backends/ipc/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

using Access = SharedMemory::Access;

size_t Page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

TEST_CASE("SharedMemory is zeroed, in whole pages, and seen by both mappings", "[memory]") {
  auto mine = SharedMemory::Create(Page() + 1, Access::kReadWrite);
  REQUIRE(mine.ok());
  CHECK(mine->size() == 2 * Page());
  CHECK(mine->data()[2 * Page() - 1] == std::byte{0});

  auto theirs = SharedMemory::Map(UniqueFd(dup(mine->fd())), Page() + 1, Access::kReadOnly);
  REQUIRE(theirs.ok());
  CHECK(theirs->data() != mine->data());
  std::memcpy(mine->data() + 100, "tandem", 6);
  CHECK(std::memcmp(theirs->data() + 100, "tandem", 6) == 0);
}

TEST_CASE("SharedMemory can be neither shrunk, grown nor sealed further", "[memory]") {
  const auto memory = SharedMemory::Create(2 * Page(), Access::kReadWrite);
  REQUIRE(memory.ok());
  CHECK(ftruncate(memory->fd(), static_cast<off_t>(Page())) == -1);
  CHECK(errno == EPERM);
  CHECK(ftruncate(memory->fd(), static_cast<off_t>(3 * Page())) == -1);
  CHECK(errno == EPERM);
  CHECK(fcntl(memory->fd(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
  CHECK(errno == EPERM);
}

TEST_CASE("SharedMemory refuses a region of another size than announced", "[memory]") {
  const auto memory = SharedMemory::Create(2 * Page(), Access::kReadWrite);
  REQUIRE(memory.ok());
  for (const size_t bytes : {Page(), 2 * Page() + 1, 16 * Page()}) {
    CAPTURE(bytes);
    const auto mapped = SharedMemory::Map(UniqueFd(dup(memory->fd())), bytes, Access::kReadOnly);
    CHECK(absl::IsFailedPrecondition(mapped.status()));
  }
}

TEST_CASE("SharedMemory refuses a region whose size is not sealed", "[memory]") {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(ftruncate(fd.get(), static_cast<off_t>(Page())) == 0);
  SECTION("not at all") {}
  SECTION("against growth only") { REQUIRE(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_GROW) == 0); }
  const auto mapped = SharedMemory::Map(std::move(fd), Page(), Access::kReadOnly);
  CHECK(absl::IsFailedPrecondition(mapped.status()));
}

TEST_CASE("SharedMemory refuses a descriptor that is no memory", "[memory]") {
  CHECK(absl::IsFailedPrecondition(
      SharedMemory::Map(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)), Page(), Access::kReadOnly)
          .status()));
  CHECK(absl::IsFailedPrecondition(
      SharedMemory::Map(UniqueFd(), Page(), Access::kReadOnly).status()));
}

// Whether the kernel has noted for the mapping that begins at `data` that it wants huge pages.
bool WantsHugePages(const std::byte* data) {
  std::ifstream maps("/proc/self/smaps");
  const std::string begin = absl::StrCat(absl::Hex(reinterpret_cast<uintptr_t>(data)), "-");
  bool found = false;
  for (std::string line; std::getline(maps, line);) {
    found |= line.rfind(begin, 0) == 0;
    if (found && line.rfind("VmFlags:", 0) == 0) return line.find(" hg") != std::string::npos;
  }
  return false;
}

TEST_CASE("Large SharedMemory asks for huge pages, and small does not", "[memory]") {
  // A kernel without them has no such folder.
  const bool possible = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
  const auto large = SharedMemory::Create(size_t{8} << 20, Access::kReadWrite);
  const auto small = SharedMemory::Create(Page(), Access::kReadWrite);
  REQUIRE(large.ok());
  REQUIRE(small.ok());
  CHECK(WantsHugePages(large->data()) == possible);
  CHECK_FALSE(WantsHugePages(small->data()));
}

TEST_CASE("SharedMemory moves its mapping", "[memory]") {
  auto first = SharedMemory::Create(Page(), Access::kReadWrite);
  auto second = SharedMemory::Create(Page(), Access::kReadWrite);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  first->data()[0] = std::byte{7};
  *second = *std::move(first);
  CHECK(second->data()[0] == std::byte{7});
  const SharedMemory third = *std::move(second);
  CHECK(third.data()[0] == std::byte{7});
  CHECK(third.size() == Page());
}

}  // namespace
}  // namespace tandem::ipc
