// Rows of a .jsonl file: on each line an object of the inputs' names and nested lists, or just the
// value of the only input.
#pragma once

#include <memory>
#include <string>

#include "client/dataset/dataset_reader.h"
#include "client/dataset/line_reader.h"

namespace tandem::client {

class JsonlReader : public DatasetReader {
 public:
  // INVALID_ARGUMENT, naming the file, where it cannot be opened.
  static absl::StatusOr<std::unique_ptr<JsonlReader>> Open(const std::string& path);

  absl::StatusOr<std::optional<Row>> Next() override;
  double fraction_read() const override { return lines_.fraction_read(); }

 private:
  explicit JsonlReader(LineReader lines) : lines_(std::move(lines)) {}

  LineReader lines_;
};

}  // namespace tandem::client
