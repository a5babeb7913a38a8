// What each client has waiting in one queue, and whether it may have more: a client that sends
// without end must leave room for others. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace tandem {

class QueueShares {
 public:
  void Add(uint64_t client, uint64_t bytes) {
    ++waiting_[client];
    ++requests_;
    bytes_ += bytes;
  }
  void Remove(uint64_t client, uint64_t bytes) {
    const auto found = waiting_.find(client);
    if (--found->second == 0) waiting_.erase(found);
    --requests_;
    bytes_ -= bytes;
  }

  // Bytes of the inputs that wait.
  uint64_t bytes() const { return bytes_; }

  // Whether another request of the client may wait in a queue of at most `most`. 0 is nobody, and
  // may as long as there is room. The last quarter is for clients that have less than an equal
  // share of what waits, one that is alone counting as one of two. So whoever fills the queue
  // leaves room, and many who do come to equal shares.
  bool MayWait(uint64_t client, size_t most) const {
    if (requests_ >= most) return false;
    if (client == 0 || requests_ < most - most / 4) return true;
    const size_t clients = waiting_.size() > 1 ? waiting_.size() : 2;
    return Waiting(client) * clients < requests_;
  }

  // Whether others wait, too, and the client has an equal share of that or more.
  bool HasItsShare(uint64_t client) const {
    return client != 0 && waiting_.size() > 1 && Waiting(client) * waiting_.size() >= requests_;
  }

 private:
  size_t Waiting(uint64_t client) const {
    const auto found = waiting_.find(client);
    return found == waiting_.end() ? 0 : found->second;
  }

  std::unordered_map<uint64_t, size_t> waiting_;
  size_t requests_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace tandem
