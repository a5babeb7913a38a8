// Which of a compiled model's files runs a batch. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tandem::worker {

// The file for a batch of `rows`: the batch size that it was compiled for, or 0 for the one that
// takes any. One compiled for that very size first, since it is fastest; then the one for any size,
// then the next larger, whose last rows are then filled up. `fixed` is ascending. Empty: none takes
// so many.
inline std::optional<uint32_t> CompiledSizeFor(int64_t rows, const std::vector<uint32_t>& fixed,
                                               bool has_any) {
  for (const uint32_t size : fixed) {
    if (size < rows) continue;
    if (has_any && size != rows) break;
    return size;
  }
  if (has_any) return 0;
  return std::nullopt;
}

}  // namespace tandem::worker
