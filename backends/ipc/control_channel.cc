#include "backends/ipc/control_channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace tandem::ipc {
namespace {

union DescriptorBuffer {
  cmsghdr alignment;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
};

std::vector<UniqueFd> TakeDescriptors(msghdr& header) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

absl::StatusOr<std::pair<ControlChannel, ControlChannel>> ControlChannel::CreatePair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return absl::ErrnoToStatus(errno, "cannot create a control socket");
  }
  return std::pair(ControlChannel(UniqueFd(ends[0])), ControlChannel(UniqueFd(ends[1])));
}

absl::Status ControlChannel::Send(const google::protobuf::MessageLite& message,
                                  const std::vector<int>& descriptors) {
  std::string bytes = message.SerializeAsString();
  if (bytes.size() > kMaxControlBytes || descriptors.size() > kMaxDescriptors) {
    return absl::InvalidArgumentError(
        absl::StrCat("a control message of ", bytes.size(), " bytes is too large"));
  }
  // The receiver could not tell an empty packet from the end of the connection.
  if (bytes.empty()) return absl::InvalidArgumentError("a control message is empty");
  iovec part = {bytes.data(), bytes.size()};
  DescriptorBuffer buffer{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = buffer.bytes;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
  }
  while (sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return absl::ResourceExhaustedError("the control socket is full");
    if (errno == EPIPE || errno == ECONNRESET) {
      return absl::UnavailableError("the other end of the control socket has gone");
    }
    return absl::ErrnoToStatus(errno, "cannot send on the control socket");
  }
  return absl::OkStatus();
}

absl::Status ControlChannel::Receive(google::protobuf::MessageLite& message,
                                     std::vector<UniqueFd>& descriptors) {
  // One byte more than allowed tells a packet that is too large from one that fits.
  std::string bytes(kMaxControlBytes + 1, '\0');
  iovec part = {bytes.data(), bytes.size()};
  DescriptorBuffer buffer{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = buffer.bytes;
  header.msg_controllen = sizeof(buffer.bytes);
  ssize_t size = 0;
  while ((size = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return absl::NotFoundError("no message is waiting");
    if (errno == ECONNRESET) {
      return absl::UnavailableError("the other end of the control socket has gone");
    }
    return absl::ErrnoToStatus(errno, "cannot receive on the control socket");
  }
  descriptors = TakeDescriptors(header);
  if (size == 0) return absl::UnavailableError("the other end of the control socket has gone");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      static_cast<size_t>(size) > kMaxControlBytes) {
    return absl::InternalError("a control message is too large");
  }
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(size))) {
    return absl::InternalError("a control message cannot be parsed");
  }
  return absl::OkStatus();
}

}  // namespace tandem::ipc
