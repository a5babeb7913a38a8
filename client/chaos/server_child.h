// A `tandem serve` of a command's own: a child process on loopback with free ports, which does
// not outlive this one. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tandem::client {

struct ServerChildOptions {
  // The program `tandem`.
  std::string program;
  // Of workers; empty: the one beside the program.
  std::string worker_program;
  std::string model_repository;
  // Files that it writes: its ports and its log.
  std::string port_file;
  std::string log_file;
  int processes = 2;
  int lanes = 2;
  int express = 1;
  // Where not null: called with its number as soon as the process is there.
  std::function<void(pid_t)> on_started;
};

class ServerChild {
 public:
  // Returns when it listens and its models are loaded. UNAVAILABLE, with the end of its log, where
  // it does not come up.
  static absl::StatusOr<std::unique_ptr<ServerChild>> Start(const ServerChildOptions& options);

  ServerChild(const ServerChild&) = delete;
  ServerChild& operator=(const ServerChild&) = delete;
  // Kills it where it still runs.
  ~ServerChild();

  pid_t pid() const { return pid_; }
  // "127.0.0.1:PORT".
  const std::string& target() const { return target_; }

  // Asks it to end, and kills it after `grace`. True where it ended by itself with exit code 0.
  bool Stop(std::chrono::milliseconds grace);

 private:
  explicit ServerChild(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}
  bool HasEnded(std::chrono::milliseconds within) const;
  absl::Status ReadPorts(const ServerChildOptions& options);

  const pid_t pid_;
  const int pidfd_;
  bool reaped_ = false;
  std::string target_;
};

}  // namespace tandem::client
