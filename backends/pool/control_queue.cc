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
  if (waiting_.empty()) {
    const absl::Status sent = Send(outgoing);
    if (sent.ok() || absl::IsUnavailable(sent)) return absl::OkStatus();
    if (!absl::IsResourceExhausted(sent)) return sent;
  }
  waiting_.push_back(std::move(outgoing));
  return absl::OkStatus();
}

void ControlQueue::Flush() {
  while (!waiting_.empty()) {
    if (absl::IsResourceExhausted(Send(waiting_.front()))) return;
    waiting_.pop_front();
  }
}

absl::StatusOr<worker::v1::FromWorker> ControlQueue::Receive() {
  worker::v1::FromWorker message;
  // Workers send none; those that come are closed.
  std::vector<ipc::UniqueFd> descriptors;
  if (absl::Status status = channel_.Receive(message, descriptors); !status.ok()) return status;
  return message;
}

absl::Status ControlQueue::Send(const Outgoing& outgoing) {
  std::vector<int> descriptors;
  for (const ipc::UniqueFd& fd : outgoing.descriptors) descriptors.push_back(fd.get());
  return channel_.Send(outgoing.message, descriptors);
}

}  // namespace tandem
