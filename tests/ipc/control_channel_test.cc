#include "backends/ipc/control_channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "backends/ipc/shared_memory.h"
#include "tests/support/catch.h"
#include "worker.pb.h"

namespace tandem::ipc {
namespace {

using worker::v1::ToWorker;

struct Ends {
  Ends() {
    auto pair = ControlChannel::CreatePair();
    REQUIRE(pair.ok());
    a.emplace(std::move(pair->first));
    b.emplace(std::move(pair->second));
  }
  std::optional<ControlChannel> a;
  std::optional<ControlChannel> b;
};

ToWorker Ping(uint64_t sequence) {
  ToWorker message;
  message.mutable_ping()->set_sequence(sequence);
  return message;
}

ToWorker Large(size_t bytes) {
  ToWorker message;
  message.mutable_load_model()->set_name(std::string(bytes, 'x'));
  return message;
}

TEST_CASE("ControlChannel keeps messages apart and in order", "[control]") {
  Ends ends;
  for (uint64_t i = 1; i <= 3; ++i) REQUIRE(ends.a->Send(Ping(i)).ok());
  for (uint64_t i = 1; i <= 3; ++i) {
    ToWorker message;
    std::vector<UniqueFd> descriptors;
    REQUIRE(ends.b->Receive(message, descriptors).ok());
    CHECK(message.ping().sequence() == i);
    CHECK(descriptors.empty());
  }
}

TEST_CASE("ControlChannel passes descriptors in order, closed on exec", "[control]") {
  Ends ends;
  auto first = SharedMemory::Create(1, SharedMemory::Access::kReadWrite);
  auto second = SharedMemory::Create(1, SharedMemory::Access::kReadWrite);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  first->data()[0] = std::byte{1};
  second->data()[0] = std::byte{2};
  REQUIRE(ends.a->Send(Ping(1), {first->fd(), second->fd()}).ok());

  ToWorker message;
  std::vector<UniqueFd> descriptors;
  REQUIRE(ends.b->Receive(message, descriptors).ok());
  REQUIRE(descriptors.size() == 2);
  for (int i = 0; i < 2; ++i) {
    CHECK((fcntl(descriptors[i].get(), F_GETFD) & FD_CLOEXEC) != 0);
    const auto mapped =
        SharedMemory::Map(std::move(descriptors[i]), 1, SharedMemory::Access::kReadOnly);
    REQUIRE(mapped.ok());
    CHECK(mapped->data()[0] == std::byte(i + 1));
  }
}

TEST_CASE("ControlChannel carries a message of the largest size and refuses a larger one",
          "[control]") {
  Ends ends;
  const size_t around = Large(kMaxControlBytes).ByteSizeLong() - kMaxControlBytes;
  const ToWorker largest = Large(kMaxControlBytes - around);
  REQUIRE(largest.ByteSizeLong() == kMaxControlBytes);
  REQUIRE(ends.a->Send(largest).ok());
  ToWorker message;
  std::vector<UniqueFd> descriptors;
  REQUIRE(ends.b->Receive(message, descriptors).ok());
  CHECK(message.load_model().name().size() == kMaxControlBytes - around);

  CHECK(absl::IsInvalidArgument(ends.a->Send(Large(kMaxControlBytes))));
}

TEST_CASE("ControlChannel sends no empty message, which would look like its end", "[control]") {
  Ends ends;
  CHECK(absl::IsInvalidArgument(ends.a->Send(ToWorker())));
}

TEST_CASE("ControlChannel refuses to send more descriptors than allowed", "[control]") {
  Ends ends;
  const std::vector<int> many(kMaxDescriptors + 1, ends.a->fd());
  CHECK(absl::IsInvalidArgument(ends.a->Send(Ping(1), many)));
}

TEST_CASE("ControlChannel does not take a packet that is too large", "[control]") {
  Ends ends;
  const std::string packet(kMaxControlBytes + 1, '\0');
  REQUIRE(send(ends.a->fd(), packet.data(), packet.size(), 0) ==
          static_cast<ssize_t>(packet.size()));
  ToWorker message;
  std::vector<UniqueFd> descriptors;
  CHECK(absl::IsInternal(ends.b->Receive(message, descriptors)));
}

TEST_CASE("ControlChannel does not take what is no message", "[control]") {
  Ends ends;
  const std::string garbage = "\xff\xff\xff\xff garbage";
  REQUIRE(send(ends.a->fd(), garbage.data(), garbage.size(), 0) > 0);
  ToWorker message;
  std::vector<UniqueFd> descriptors;
  CHECK(absl::IsInternal(ends.b->Receive(message, descriptors)));
}

TEST_CASE("ControlChannel leaks none of too many descriptors", "[control]") {
  Ends ends;
  constexpr size_t kMany = kMaxDescriptors + 4;
  union {
    cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(int) * kMany)];
  } buffer{};
  const std::vector<int> fds(kMany, ends.a->fd());
  std::string bytes = Ping(1).SerializeAsString();
  iovec part = {bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = buffer.bytes;
  header.msg_controllen = sizeof(buffer.bytes);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * kMany);
  std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * kMany);
  REQUIRE(sendmsg(ends.a->fd(), &header, 0) > 0);

  const int next_before = dup(0);
  close(next_before);
  {
    ToWorker message;
    std::vector<UniqueFd> descriptors;
    CHECK(absl::IsInternal(ends.b->Receive(message, descriptors)));
  }
  const int next_after = dup(0);
  close(next_after);
  CHECK(next_after == next_before);
}

TEST_CASE("ControlChannel says when the other end has gone", "[control]") {
  Ends ends;
  REQUIRE(ends.a->Send(Ping(1)).ok());
  ends.a.reset();
  ToWorker message;
  std::vector<UniqueFd> descriptors;
  // What it had sent still arrives.
  CHECK(ends.b->Receive(message, descriptors).ok());
  CHECK(absl::IsUnavailable(ends.b->Receive(message, descriptors)));
  CHECK(absl::IsUnavailable(ends.b->Send(Ping(2))));
}

TEST_CASE("ControlChannel wakes a receiver whose other end goes", "[control]") {
  Ends ends;
  std::optional<absl::Status> status;
  std::thread receiver([&] {
    ToWorker message;
    std::vector<UniqueFd> descriptors;
    status = ends.b->Receive(message, descriptors);
  });
  ends.a.reset();
  receiver.join();
  CHECK(absl::IsUnavailable(*status));
}

TEST_CASE("ControlChannel does not block where the socket does not", "[control]") {
  Ends ends;
  for (const int fd : {ends.a->fd(), ends.b->fd()}) REQUIRE(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  ToWorker message;
  std::vector<UniqueFd> descriptors;
  CHECK(absl::IsNotFound(ends.b->Receive(message, descriptors)));
  absl::Status sent;
  for (int i = 0; i < 10'000 && sent.ok(); ++i) sent = ends.a->Send(Large(10'000));
  CHECK(absl::IsResourceExhausted(sent));
}

}  // namespace
}  // namespace tandem::ipc
