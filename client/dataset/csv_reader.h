// Rows of a .csv file of numbers. A first line that is not all numbers is a header.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/dataset/dataset_reader.h"
#include "client/dataset/line_reader.h"

namespace tandem::client {

class CsvReader : public DatasetReader {
 public:
  // `inputs`: "NAME=COLUMNS", COLUMNS by commas: names of the header, or numbers from 1, or ranges
  // of them ("2-65"). Empty: all columns make the model's only input. INVALID_ARGUMENT for a file
  // or a column that is not there.
  static absl::StatusOr<std::unique_ptr<CsvReader>> Open(const std::string& path,
                                                         const std::vector<std::string>& inputs);

  absl::StatusOr<std::optional<Row>> Next() override;
  double fraction_read() const override { return lines_.fraction_read(); }

 private:
  // An input of the model, and the columns that make it.
  struct Group {
    std::string name;
    std::vector<size_t> columns;
  };

  explicit CsvReader(LineReader lines) : lines_(std::move(lines)) {}
  absl::Status SetGroups(const std::vector<std::string>& inputs);
  absl::StatusOr<size_t> FindColumn(const std::string& name) const;
  absl::StatusOr<Row> Parse(const std::string& line) const;

  LineReader lines_;
  std::vector<std::string> header_;
  size_t columns_ = 0;
  std::vector<Group> groups_;
  // The first line, where it is a row.
  std::optional<std::string> pending_;
};

}  // namespace tandem::client
