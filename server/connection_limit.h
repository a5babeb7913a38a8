// The connections that were accepted and are not closed yet, on all ports together, and how many
// there may be. Where one more comes, idle ones are closed: those first that have never said enough
// to be a request, which no client needs. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "core/log.h"

namespace tandem::server {

class ConnectionLimit {
 public:
  // At most `most` connections, 1 or more. Borrows the clock, which outlives it.
  ConnectionLimit(size_t most, const Clock& clock, LogSink log);
  ~ConnectionLimit();
  ConnectionLimit(const ConnectionLimit&) = delete;
  ConnectionLimit& operator=(const ConnectionLimit&) = delete;

  // Whether there is room for one more. Where there is none, idle connections are shut down; there
  // is room when those who serve them have closed them, a moment later.
  bool MakeRoom();
  // One that was accepted. Whoever serves it closes it, and need not tell.
  void Add(int socket);

  // Those that are open.
  size_t open();
  // Those that were shut down to make room, of all time.
  uint64_t shut_down() const;

 private:
  struct Connection {
    int socket = -1;
    // Tells it from another that has its number later.
    ino_t inode = 0;
    bool is_shut_down = false;
  };

  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShutDownIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ShutDown(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_;
  const Clock& clock_;
  const LogSink log_;
  // Two descriptors of nothing: the second becomes a connection for as long as it is shut down, so
  // that nobody closes that meanwhile and gives its number to something else. Made at the start,
  // for a time without descriptors.
  const int nothing_;
  const int held_;
  mutable absl::Mutex mutex_;
  std::list<Connection> connections_ ABSL_GUARDED_BY(mutex_);
  uint64_t shut_down_ ABSL_GUARDED_BY(mutex_) = 0;
  // The log tells it once a minute.
  TimePoint tell_at_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace tandem::server
