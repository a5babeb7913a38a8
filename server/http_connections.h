// The connections of an HTTP port, by whom their threads wait for. Where connections wait for a
// thread and all are taken, those that have kept theirs waiting longest are ended, so that clients
// that are slow on purpose keep nobody out. Thread-safe.
#pragma once

#include <cstddef>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"

namespace tandem::server {

class HttpConnections {
 public:
  enum class Waits { kToRead, kToWrite };

  // Of the thread that serves it, which leaves before it closes the socket.
  class Connection {
   public:
    Connection(HttpConnections& connections, int socket);
    // Leaves.
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    int socket() const { return socket_; }
    // The client is to send a request, from now on.
    void BeginRequest(TimePoint now);
    // Waits until the socket can be read or written, until then at most. False: it cannot, or the
    // connection is to end.
    bool Wait(Waits what, TimePoint now, TimePoint until);

   private:
    friend HttpConnections;

    HttpConnections& connections_;
    const int socket_;
    // All guarded by the connections' mutex.
    TimePoint since_{};
    Waits waits_ = Waits::kToRead;
    bool ended_ = false;
  };

  HttpConnections() = default;
  HttpConnections(const HttpConnections&) = delete;
  HttpConnections& operator=(const HttpConnections&) = delete;

  // So many connections wait for a thread, and none is free.
  void OnCrowd(size_t waiting);

  // Ends those that wait for their clients, or would from now on.
  void EndSlow();

  // Connections that wait for their clients.
  size_t slow() const;

 private:
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  // Those that wait for their clients.
  std::set<Connection*> slow_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  // Connections that were ended, and have their thread yet.
  size_t ending_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ends_slow_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::server
