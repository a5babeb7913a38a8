// Reads a data set row by row, so that its size does not matter. Not thread-safe. One reader, one
// pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array.h"

namespace tandem::client {

struct Row {
  // The model's inputs, without a batch dimension unless the data set has one in each row.
  std::vector<Array> inputs;
  // Where it came from, if that has a name of its own (an image's file). Empty otherwise.
  std::string source;
  // Where it stands in a file of text ("line 5"), for messages: lines that are blank or a header
  // are no rows. Empty otherwise.
  std::string place;
};

class DatasetReader {
 public:
  virtual ~DatasetReader() = default;

  // The next row, or nothing at the end. INVALID_ARGUMENT: this row cannot be read, and why; the
  // next call goes on behind it. Any other error: nothing more can be read.
  virtual absl::StatusOr<std::optional<Row>> Next() = 0;

  // Leaves rows out, readable or not. Fewer than `rows` where the data set ends before.
  virtual absl::Status Skip(int64_t rows);

  // Rows in all, where that is known before they are read.
  virtual std::optional<int64_t> row_count() const { return std::nullopt; }

  // How much of the data set has been read, 0 to 1.
  virtual double fraction_read() const = 0;
};

}  // namespace tandem::client
