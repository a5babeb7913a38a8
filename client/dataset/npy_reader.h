// Rows of a .npy file: its array along the first dimension.
#pragma once

#include <fstream>
#include <memory>
#include <string>

#include "client/dataset/dataset_reader.h"
#include "client/npy_format.h"

namespace tandem::client {

class NpyReader : public DatasetReader {
 public:
  // INVALID_ARGUMENT, naming the file, where it is not a .npy array with rows.
  static absl::StatusOr<std::unique_ptr<NpyReader>> Open(const std::string& path);

  absl::StatusOr<std::optional<Row>> Next() override;
  absl::Status Skip(int64_t rows) override;
  std::optional<int64_t> row_count() const override { return rows_; }
  double fraction_read() const override;

 private:
  NpyReader(std::ifstream stream, DataType type, int64_t rows, Shape row_shape, size_t row_bytes);

  std::ifstream stream_;
  const DataType type_;
  const int64_t rows_;
  const Shape row_shape_;
  const size_t row_bytes_;
  int64_t next_ = 0;
};

}  // namespace tandem::client
