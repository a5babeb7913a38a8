// A queue under test whose requests are numbered in the order in which they are pushed.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "router/batch_queue.h"
#include "tests/router/requests.h"

namespace tandem {

using Numbers = std::vector<uint64_t>;

// Not thread-safe.
class WaitingLine {
 public:
  explicit WaitingLine(const ModelConfig& config) : queue(config) {}

  QueuedRequest& Push(int64_t rows = 1, int64_t columns = 4, TimePoint arrival = kStart) {
    auto request = Queued(arrival, rows, columns);
    request->sequence = ++last_;
    queue.Classify(*request);
    QueuedRequest& pushed = *request;
    queue.Push(std::move(request));
    return pushed;
  }

  // Sequence numbers of the next batch for the CPU.
  Numbers Take(PoolKind kind = PoolKind::kCpu, int64_t leave = 0, TimePoint now = kStart) {
    Numbers taken;
    BatchQueue::Limits limits;
    limits.kind = kind;
    limits.rows_to_leave = leave;
    members = queue.Take(now, limits, dead);
    for (const auto& member : members) taken.push_back(member->sequence);
    return taken;
  }

  BatchQueue queue;
  Requests members;
  Requests dead;

 private:
  uint64_t last_ = 0;
};

}  // namespace tandem
