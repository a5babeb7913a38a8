// Rows of a .npz file: its arrays, side by side along their first dimensions. The arrays' names are
// the inputs'.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/dataset/dataset_reader.h"
#include "client/npy_format.h"

struct zip;
struct zip_file;

namespace tandem::client {

class NpzReader : public DatasetReader {
 public:
  // INVALID_ARGUMENT, naming the file and the array, where it is not an archive of arrays with
  // equally many rows.
  static absl::StatusOr<std::unique_ptr<NpzReader>> Open(const std::string& path);

  absl::StatusOr<std::optional<Row>> Next() override;
  std::optional<int64_t> row_count() const override { return rows_; }
  double fraction_read() const override;

 private:
  struct CloseArchive {
    void operator()(zip* archive) const;
  };
  struct CloseFile {
    void operator()(zip_file* file) const;
  };
  // One array, read and inflated as its rows are asked for.
  struct Member {
    std::string name;
    DataType type = DataType::kInvalid;
    Shape row_shape;
    size_t row_bytes = 0;
    int64_t rows = 0;
    std::unique_ptr<zip_file, CloseFile> file;
  };

  explicit NpzReader(std::unique_ptr<zip, CloseArchive> archive) : archive_(std::move(archive)) {}
  static absl::StatusOr<std::string> ReadHeader(zip_file* file);
  static absl::StatusOr<Member> OpenMember(zip* archive, uint64_t index);

  // Before the members: they are closed first.
  const std::unique_ptr<zip, CloseArchive> archive_;
  std::vector<Member> members_;
  int64_t rows_ = 0;
  int64_t next_ = 0;
};

}  // namespace tandem::client
