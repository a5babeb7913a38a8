// The outputs of one run: lays a batch's record and tensors out in one block of the output arena.
#pragma once

#include <optional>
#include <vector>

#include "backends/worker/executor.h"
#include "backends/worker/output_arena.h"

namespace tandem::worker {

// Lives on a lane's stack for one run. What was allocated and not announced goes back when it is
// destroyed.
class RunOutputs : public OutputSink {
 public:
  explicit RunOutputs(OutputArena& arena) : arena_(arena) {}
  RunOutputs(const RunOutputs&) = delete;
  RunOutputs& operator=(const RunOutputs&) = delete;
  ~RunOutputs() override;

  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override;

  void NoteParts() override { in_parts_ = true; }
  bool in_parts() const { return in_parts_; }

  // Whether Allocate has succeeded.
  bool allocated() const { return block_.has_value(); }

  // Fills in where the outputs lie; from then on they are the server's, who gives them back through
  // the board.
  void Announce(ipc::CompletionEntry& completion);

 private:
  OutputArena& arena_;
  std::optional<OutputBlock> block_;
  size_t record_bytes_ = 0;
  bool in_parts_ = false;
};

}  // namespace tandem::worker
