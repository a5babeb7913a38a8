#include "client/dataset/reply_rows.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

// Where each row's bytes end.
std::vector<size_t> RowEnds(const Array& array, size_t rows) {
  std::vector<size_t> ends;
  if (array.type != DataType::kBytes) {
    for (size_t row = 1; row <= rows; ++row) ends.push_back(array.bytes.size() / rows * row);
    return ends;
  }
  // Strings differ in length: step over them. CheckSize has seen that lengths and count are right.
  const size_t strings = static_cast<size_t>(CountOf(array)) / rows;
  size_t at = 0;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < strings; ++i) {
      uint32_t length = 0;
      std::memcpy(&length, array.bytes.data() + at, sizeof(length));
      at += sizeof(length) + length;
    }
    ends.push_back(at);
  }
  return ends;
}

absl::StatusOr<std::vector<Array>> SplitArray(const Array& array, size_t rows) {
  if (array.shape.empty() || array.shape[0] != static_cast<int64_t>(rows)) {
    if (rows == 1) return std::vector<Array>{array};
    return absl::InternalError(absl::StrCat("output \"", array.name, "\" has the shape ",
                                            ShapeToString(array.shape), ", which ", rows,
                                            " rows cannot be told apart in"));
  }
  std::vector<Array> split;
  const Shape shape(array.shape.begin() + 1, array.shape.end());
  size_t begin = 0;
  for (const size_t end : RowEnds(array, rows)) {
    split.push_back({array.name, array.type, shape, array.bytes.substr(begin, end - begin), false});
    begin = end;
  }
  return split;
}

}  // namespace

absl::StatusOr<std::vector<Prediction>> SplitReply(const PredictReply& reply, size_t rows) {
  std::vector<Prediction> predictions(rows);
  for (const ModelReply& model : reply.models) {
    for (Prediction& prediction : predictions)
      prediction.models.push_back({model.key, model.status, {}});
    for (const Array& output : model.outputs) {
      absl::StatusOr<std::vector<Array>> split = SplitArray(output, rows);
      if (!split.ok()) return split.status();
      for (size_t i = 0; i < rows; ++i) {
        predictions[i].models.back().outputs.push_back(std::move((*split)[i]));
      }
    }
  }
  if (reply.combined.has_value()) {
    absl::StatusOr<std::vector<Array>> split = SplitArray(*reply.combined, rows);
    if (!split.ok()) return split.status();
    for (size_t i = 0; i < rows; ++i) predictions[i].combined = std::move((*split)[i]);
  }
  return predictions;
}

}  // namespace tandem::client
