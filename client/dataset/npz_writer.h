// Predictions as a .npz of one array for each output ("forest.label.npy"), rows along the first
// dimension, and "row_ok": false where the row failed, whose elements are NaN or 0.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/dataset/output_file.h"
#include "client/dataset/prediction_writer.h"

namespace tandem::client {

class NpzWriter : public PredictionWriter {
 public:
  // See OpenWriter.
  static absl::StatusOr<std::unique_ptr<NpzWriter>> Open(const std::string& path,
                                                         const nlohmann::json& state);

  absl::Status Write(const Prediction& prediction) override;
  absl::StatusOr<nlohmann::json> Checkpoint() override;
  absl::Status Complete() override;
  absl::StatusOr<std::string> Suspend() override;

 private:
  // One array, as a .npy file of its own until all rows are there.
  struct Column {
    std::string name;
    DataType type = DataType::kInvalid;
    Shape row_shape;
    // What stands in rows without an answer.
    std::string filler;
    OutputFile file;
    bool written = false;
  };

  explicit NpzWriter(std::string path) : path_(std::move(path)) {}
  absl::Status OpenColumn(const std::string& name, DataType type, const Shape& row_shape,
                          int64_t rows);
  absl::Status Put(const std::string& name, const Array& output);
  absl::Status FillUp(Column& column, int64_t rows);
  absl::Status Pack();

  const std::string path_;
  int64_t rows_ = 0;
  // The first is row_ok.
  std::vector<Column> columns_;
};

}  // namespace tandem::client
