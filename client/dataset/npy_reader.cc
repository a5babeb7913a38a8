#include "client/dataset/npy_reader.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace tandem::client {

absl::StatusOr<std::unique_ptr<NpyReader>> NpyReader::Open(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  const absl::StatusOr<NpyHeader> header = ReadNpyHeader(stream);
  if (!header.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", header.status().message()));
  }
  if (header->shape.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " holds a single number: a data set has its rows along the first dimension"));
  }
  const Shape row_shape(header->shape.begin() + 1, header->shape.end());
  const absl::StatusOr<size_t> row_bytes = ByteSize(header->type, row_shape);
  if (!row_bytes.ok()) return row_bytes.status();
  return absl::WrapUnique(
      new NpyReader(std::move(stream), header->type, header->shape[0], row_shape, *row_bytes));
}

NpyReader::NpyReader(std::ifstream stream, DataType type, int64_t rows, Shape row_shape,
                     size_t row_bytes)
    : stream_(std::move(stream)),
      type_(type),
      rows_(rows),
      row_shape_(std::move(row_shape)),
      row_bytes_(row_bytes) {}

absl::StatusOr<std::optional<Row>> NpyReader::Next() {
  if (next_ == rows_) return std::nullopt;
  Array array{"", type_, row_shape_, std::string(row_bytes_, '\0'), false};
  if (!stream_.read(array.bytes.data(), static_cast<std::streamsize>(row_bytes_))) {
    return absl::DataLossError(
        absl::StrCat("the file is cut off: it ends within row ", next_, " of ", rows_));
  }
  ++next_;
  Row row;
  row.inputs.push_back(std::move(array));
  return row;
}

absl::Status NpyReader::Skip(int64_t rows) {
  const int64_t skipped = std::min(rows, rows_ - next_);
  next_ += skipped;
  stream_.seekg(static_cast<std::streamoff>(skipped) * static_cast<std::streamoff>(row_bytes_),
                std::ios::cur);
  return absl::OkStatus();
}

double NpyReader::fraction_read() const {
  return rows_ == 0 ? 1 : static_cast<double>(next_) / static_cast<double>(rows_);
}

}  // namespace tandem::client
