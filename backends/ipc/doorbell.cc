#include "backends/ipc/doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace tandem::ipc {
namespace {

// Without FUTEX_PRIVATE_FLAG: the word is shared between processes.
void Futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* timeout) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), operation, value, timeout, nullptr, 0);
}

}  // namespace

void Doorbell::Ring() {
  count_.fetch_add(1, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) != 0 &&
      sleeping_.exchange(0, std::memory_order_seq_cst) != 0) {
    Futex(&count_, FUTEX_WAKE, INT_MAX, nullptr);
  }
}

void Doorbell::RingLoudly() {
  count_.fetch_add(1, std::memory_order_seq_cst);
  Futex(&count_, FUTEX_WAKE, INT_MAX, nullptr);
}

void Doorbell::Sleep(uint32_t count, std::chrono::nanoseconds max_wait) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(max_wait);
  const timespec timeout = {static_cast<time_t>(seconds.count()),
                            static_cast<long>((max_wait - seconds).count())};
  Futex(&count_, FUTEX_WAIT, count, &timeout);
}

}  // namespace tandem::ipc
