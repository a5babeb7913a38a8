#include "client/dataset/dataset_reader.h"

namespace tandem::client {

absl::Status DatasetReader::Skip(int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    const absl::StatusOr<std::optional<Row>> row = Next();
    if (!row.ok() && !absl::IsInvalidArgument(row.status())) return row.status();
    if (row.ok() && !row->has_value()) break;
  }
  return absl::OkStatus();
}

}  // namespace tandem::client
