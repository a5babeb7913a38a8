// A library for LD_PRELOAD that counts what a `tandem` process allocates on its heap and copies in
// memory, by size. The counts lie in the file that TANDEM_MEMORY_COUNTS names, for another process
// to read; in processes of other names, as the workers, nothing is counted.
//
// Copies that the compiler has made instructions of (a few bytes, of a size known to it) and those
// of the kernel are not seen.
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

// Class 0 is of size 0, class n of sizes from 2^(n-1) to 2^n - 1.
constexpr size_t kClasses = 65;

struct Counter {
  std::atomic<uint64_t> times;
  std::atomic<uint64_t> bytes;
};

// The file's content; tests/support/harness/memory_counts.py reads it.
struct Counts {
  Counter allocations[kClasses];
  Counter copies[kClasses];
};

std::atomic<Counts*> counts{nullptr};

using Copy = void* (*)(void*, const void*, size_t);
std::atomic<Copy> real_copy{nullptr};
std::atomic<Copy> real_move{nullptr};

void Add(Counter* classes, size_t size) {
  Counter& counter = classes[std::bit_width(size)];
  counter.times.fetch_add(1, std::memory_order_relaxed);
  counter.bytes.fetch_add(size, std::memory_order_relaxed);
}

void* Allocated(void* place, size_t size) {
  Counts* to = counts.load(std::memory_order_acquire);
  if (to != nullptr && place != nullptr) Add(to->allocations, size);
  return place;
}

void CountCopy(size_t size) {
  if (Counts* to = counts.load(std::memory_order_acquire); to != nullptr) Add(to->copies, size);
}

// Before the C library's own are known. Volatile, or the compiler makes a call of memmove of it.
void* CopyByByte(void* to, const void* from, size_t size) {
  auto* target = static_cast<volatile char*>(to);
  const auto* source = static_cast<const char*>(from);
  if (static_cast<const char*>(to) < source) {
    for (size_t i = 0; i < size; ++i) target[i] = source[i];
  } else {
    for (size_t i = size; i > 0; --i) target[i - 1] = source[i - 1];
  }
  return to;
}

void* CountedCopy(const std::atomic<Copy>& real, void* to, const void* from, size_t size) {
  CountCopy(size);
  const Copy copy = real.load(std::memory_order_relaxed);
  return copy != nullptr ? copy(to, from, size) : CopyByByte(to, from, size);
}

void CheckRoom(size_t size, size_t room) {
  if (size > room) std::abort();
}

// A child of the server inherits the environment, and is none of its own memory.
__attribute__((constructor)) void SetUp() {
  real_copy.store(reinterpret_cast<Copy>(dlsym(RTLD_NEXT, "memcpy")));
  real_move.store(reinterpret_cast<Copy>(dlsym(RTLD_NEXT, "memmove")));
  const char* file = std::getenv("TANDEM_MEMORY_COUNTS");
  if (file == nullptr || std::string_view(program_invocation_short_name) != "tandem") return;
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0 || info.st_size < static_cast<off_t>(sizeof(Counts))) {
    std::abort();
  }
  void* shared = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) std::abort();
  close(fd);
  counts.store(static_cast<Counts*>(shared), std::memory_order_release);
}

}  // namespace

// The C library's names for its own functions, and the functions that stand in for them.
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* place, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) { return Allocated(__libc_malloc(size), size); }
void* calloc(size_t count, size_t size) {
  return Allocated(__libc_calloc(count, size), count * size);
}
// Counts as an allocation of the new size; whether its bytes had to move is not known.
void* realloc(void* place, size_t size) { return Allocated(__libc_realloc(place, size), size); }
void* memalign(size_t alignment, size_t size) {
  return Allocated(__libc_memalign(alignment, size), size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** place, size_t alignment, size_t size) {
  *place = memalign(alignment, size);
  return *place == nullptr ? ENOMEM : 0;
}

void* memcpy(void* to, const void* from, size_t size) {
  return CountedCopy(real_copy, to, from, size);
}
void* memmove(void* to, const void* from, size_t size) {
  return CountedCopy(real_move, to, from, size);
}
void* mempcpy(void* to, const void* from, size_t size) {
  return static_cast<char*>(CountedCopy(real_copy, to, from, size)) + size;
}
// What calls of them become in libraries that were built to check their sizes.
void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) {
  CheckRoom(size, room);
  return memcpy(to, from, size);
}
void* __memmove_chk(void* to, const void* from, size_t size, size_t room) {
  CheckRoom(size, room);
  return memmove(to, from, size);
}
void* __mempcpy_chk(void* to, const void* from, size_t size, size_t room) {
  CheckRoom(size, room);
  return mempcpy(to, from, size);
}
}
