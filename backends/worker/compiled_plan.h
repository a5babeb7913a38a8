// Which of a compiled model's files run a batch, and which of its rows each. Immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/worker/executor.h"

namespace tandem::worker {

// Rows of a batch that run together.
struct CompiledPart {
  // The batch size that the file was compiled for, 0 for the file for any. Where it is more than
  // `rows`, zeros fill it up.
  uint32_t size = 0;
  int64_t rows = 0;

  bool is_padded() const { return size > rows; }
  friend bool operator==(const CompiledPart&, const CompiledPart&) = default;
};

class CompiledPlan {
 public:
  // A batch for whose very size there is a file runs in it. Any other runs in the parts that take
  // the shortest time together, by the times that the files took (`runs`: those of rows in `fixed`
  // are of the file for that size, others of the file for any). Where a file has no time, a row is
  // as good as another.
  //
  // `fixed`: sizes that there are files for, ascending. `has_any`: whether there is one for any
  // size. One of the two at least. `most`: rows of the largest batch.
  CompiledPlan(const std::vector<uint32_t>& fixed, bool has_any, int64_t most,
               const std::vector<TimedRun>& runs);

  int64_t most() const { return static_cast<int64_t>(first_.size()) - 1; }
  // In the order of the rows. `rows`: 1 to `most`.
  std::vector<CompiledPart> PartsOf(int64_t rows) const;

 private:
  // By number of rows: the first part of so many.
  std::vector<CompiledPart> first_;
};

}  // namespace tandem::worker
