#include "backends/pool/control_queue.h"

#include <fcntl.h>

#include <utility>

namespace tandem {

ControlQueue::ControlQueue(ipc::ControlChannel channel) : channel_(std::move(channel)) {
  fcntl(channel_.fd(), F_SETFL, fcntl(channel_.fd(), F_GETFL) | O_NONBLOCK);
}

absl::Status ControlQueue::Post(worker::v1::ToWorker message,
                                std::vector<ipc::UniqueFd> descriptors) {
  Outgoing outgoing{std::move(message), std::move(descriptors)};
  absl::Status sent = absl::ResourceExhaustedError("others wait");
  if (waiting_.empty()) sent = Send(outgoing);
  if (!sent.ok() && !absl::IsUnavailable(sent) && !absl::IsResourceExhausted(sent)) return sent;
  if (!outgoing.message.has_shutdown()) ++owed_;
  if (absl::IsResourceExhausted(sent)) waiting_.push_back(std::move(outgoing));
  return absl::OkStatus();
}

absl::Status ControlQueue::Flush() {
  while (!waiting_.empty()) {
    const absl::Status sent = Send(waiting_.front());
    if (absl::IsResourceExhausted(sent)) break;
    // That it has gone Receive tells.
    if (!sent.ok() && !absl::IsUnavailable(sent)) return sent;
    waiting_.pop_front();
  }
  return absl::OkStatus();
}

absl::StatusOr<worker::v1::FromWorker> ControlQueue::Receive() {
  worker::v1::FromWorker message;
  // Workers send none; those that come are closed.
  std::vector<ipc::UniqueFd> descriptors;
  if (absl::Status status = channel_.Receive(message, descriptors); !status.ok()) return status;
  if (owed_ == 0) return absl::InternalError("it answered what it was not asked");
  --owed_;
  return message;
}

absl::Status ControlQueue::Send(const Outgoing& outgoing) {
  std::vector<int> descriptors;
  for (const ipc::UniqueFd& fd : outgoing.descriptors) descriptors.push_back(fd.get());
  return channel_.Send(outgoing.message, descriptors);
}

}  // namespace tandem
