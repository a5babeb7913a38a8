// The control socket between the server and a worker: protobuf messages, one a packet, with
// descriptors attached.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"
#include "google/protobuf/message_lite.h"

namespace tandem::ipc {

// Longest message. A packet above it is refused by the sender, and ends the receiver's trust.
inline constexpr size_t kMaxControlBytes = 128 * 1024;
inline constexpr size_t kMaxDescriptors = 32;

// One end of a SOCK_SEQPACKET socket. Send may be called by one thread at a time, and so may
// Receive.
class ControlChannel {
 public:
  // Two connected ends, closed on exec.
  static absl::StatusOr<std::pair<ControlChannel, ControlChannel>> CreatePair();

  explicit ControlChannel(UniqueFd socket) : socket_(std::move(socket)) {}

  // Sends a message and copies of the descriptors. Blocks while the socket's buffer is full, unless
  // the socket is non-blocking: then RESOURCE_EXHAUSTED. UNAVAILABLE where the other end has gone.
  absl::Status Send(const google::protobuf::MessageLite& message,
                    const std::vector<int>& descriptors = {});

  // Waits for the next message and parses it into `message`. UNAVAILABLE: the other end has gone.
  // INTERNAL: it sent something that is not a message. NOT_FOUND: nothing there (non-blocking
  // sockets only). Descriptors that came along replace `descriptors`.
  absl::Status Receive(google::protobuf::MessageLite& message, std::vector<UniqueFd>& descriptors);

  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

}  // namespace tandem::ipc
