// The server's end of a worker's control socket. Never blocks: what does not fit waits here. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/ipc/control_channel.h"
#include "backends/ipc/unique_fd.h"
#include "worker.pb.h"

namespace tandem {

class ControlQueue {
 public:
  // Makes the socket non-blocking.
  explicit ControlQueue(ipc::ControlChannel channel);

  // Sends the message with copies of the descriptors, now or as soon as there is room.
  // INVALID_ARGUMENT where it is too large to be sent at all. A worker that has gone is not an
  // error here: Receive tells.
  absl::Status Post(worker::v1::ToWorker message, std::vector<ipc::UniqueFd> descriptors = {});
  // Sends what waits, as far as there is room. INTERNAL where a message cannot be sent at all.
  absl::Status Flush();
  bool wants_to_write() const { return !waiting_.empty(); }

  // The next message. NOT_FOUND: none at present. Anything else: the worker has gone, or sent
  // nonsense, or more messages than it was sent: all but the one to end have one answer.
  absl::StatusOr<worker::v1::FromWorker> Receive();

  int fd() const { return channel_.fd(); }

 private:
  struct Outgoing {
    worker::v1::ToWorker message;
    std::vector<ipc::UniqueFd> descriptors;
  };

  absl::Status Send(const Outgoing& outgoing);

  ipc::ControlChannel channel_;
  std::deque<Outgoing> waiting_;
  // Answers that are still to come.
  size_t owed_ = 0;
};

}  // namespace tandem
