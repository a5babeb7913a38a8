#include "backends/ipc/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace tandem::ipc {
namespace {

// Of x86-64, and of Arm with its usual pages.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

size_t RoundUpToPages(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

absl::StatusOr<std::byte*> MapDescriptor(int fd, size_t size, SharedMemory::Access access) {
  const int protection =
      access == SharedMemory::Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map shared memory");
  // Fewer faults and misses where the operator allows huge pages for shared memory; else without
  // effect.
  if (size >= kHugePage) (void)madvise(data, size, MADV_HUGEPAGE);
  return static_cast<std::byte*>(data);
}

}  // namespace

absl::StatusOr<SharedMemory> SharedMemory::Create(size_t bytes, Access access) {
  const size_t size = RoundUpToPages(bytes);
  UniqueFd fd(memfd_create("tandem", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "cannot create shared memory");
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return absl::ErrnoToStatus(errno, "cannot size shared memory");
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_SEAL) != 0) {
    return absl::ErrnoToStatus(errno, "cannot seal shared memory");
  }
  absl::StatusOr<std::byte*> data = MapDescriptor(fd.get(), size, access);
  if (!data.ok()) return data.status();
  return SharedMemory(std::move(fd), *data, size);
}

absl::StatusOr<SharedMemory> SharedMemory::Map(UniqueFd fd, size_t bytes, Access access) {
  const size_t size = RoundUpToPages(bytes);
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals) {
    return absl::FailedPreconditionError("the shared memory's size is not sealed");
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0 || static_cast<size_t>(info.st_size) != size) {
    return absl::FailedPreconditionError("the shared memory has not the announced size");
  }
  absl::StatusOr<std::byte*> data = MapDescriptor(fd.get(), size, access);
  if (!data.ok()) return data.status();
  return SharedMemory(std::move(fd), *data, size);
}

SharedMemory::SharedMemory(UniqueFd fd, std::byte* data, size_t size)
    : fd_(std::move(fd)), data_(data), size_(size) {}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) munmap(data_, size_);
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace tandem::ipc
