#include "client/dataset/csv_reader.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/element.h"

namespace tandem::client {
namespace {

// Splits at commas outside quotes, and takes quotes and spaces around a field away.
std::vector<std::string> SplitFields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  for (std::string& field : fields) absl::StripAsciiWhitespace(&field);
  return fields;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CsvReader>> CsvReader::Open(const std::string& path,
                                                           const std::vector<std::string>& inputs) {
  absl::StatusOr<LineReader> lines = LineReader::Open(path);
  if (!lines.ok()) return lines.status();
  auto reader = absl::WrapUnique(new CsvReader(*std::move(lines)));
  absl::StatusOr<std::optional<std::string>> first = reader->lines_.Next();
  if (!first.ok()) return first.status();
  if (!first->has_value()) return reader;
  const std::vector<std::string> fields = SplitFields(**first);
  reader->columns_ = fields.size();
  double number = 0;
  const bool is_row =
      std::any_of(fields.begin(), fields.end(),
                  [&number](const std::string& field) { return absl::SimpleAtod(field, &number); });
  if (is_row) {
    reader->pending_ = **first;
  } else {
    reader->header_ = fields;
  }
  const absl::Status status = reader->SetGroups(inputs);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  return reader;
}

absl::StatusOr<size_t> CsvReader::FindColumn(const std::string& name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found != header_.end()) return static_cast<size_t>(found - header_.begin());
  size_t number = 0;
  if (absl::SimpleAtoi(name, &number) && number >= 1 && number <= columns_) return number - 1;
  return absl::InvalidArgumentError(
      absl::StrCat("there is no column \"", name, "\" among its ", columns_, " columns"));
}

absl::Status CsvReader::SetGroups(const std::vector<std::string>& inputs) {
  if (inputs.empty()) {
    Group all;
    all.columns.resize(columns_);
    std::iota(all.columns.begin(), all.columns.end(), size_t{0});
    groups_.push_back(std::move(all));
    return absl::OkStatus();
  }
  for (const std::string& input : inputs) {
    const std::vector<std::string> parts = absl::StrSplit(input, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[1].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--csv-input is NAME=COLUMNS, not \"", input, "\""));
    }
    Group group{parts[0], {}};
    const std::vector<std::string> words = absl::StrSplit(parts[1], ',');
    for (const std::string& word : words) {
      const std::vector<std::string> ends = absl::StrSplit(word, '-');
      absl::StatusOr<size_t> first = FindColumn(word);
      absl::StatusOr<size_t> last = first;
      if (!first.ok() && ends.size() == 2) {
        first = FindColumn(ends[0]);
        last = FindColumn(ends[1]);
      }
      if (!first.ok()) return first.status();
      if (!last.ok()) return last.status();
      for (size_t column = *first; column <= *last; ++column) group.columns.push_back(column);
    }
    groups_.push_back(std::move(group));
  }
  return absl::OkStatus();
}

absl::StatusOr<Row> CsvReader::Parse(const std::string& line) const {
  const std::vector<std::string> fields = SplitFields(line);
  if (fields.size() != columns_) {
    return absl::InvalidArgumentError(absl::StrCat("line ", lines_.line_number(), " has ",
                                                   fields.size(), " columns where ", columns_,
                                                   " are expected"));
  }
  Row row;
  row.place = absl::StrCat("line ", lines_.line_number());
  for (const Group& group : groups_) {
    Array array{
        group.name, DataType::kFp64, {static_cast<int64_t>(group.columns.size())}, {}, true};
    for (const size_t column : group.columns) {
      const std::string& field = fields[column];
      double value = 0;
      const bool is_number = absl::SimpleAtod(field, &value);
      // "inf" is meant; digits that come to it are not.
      if (!is_number || (std::isinf(value) && absl::ascii_isdigit(field.back()))) {
        return absl::InvalidArgumentError(absl::StrCat(
            "line ", lines_.line_number(), ", column ", column + 1, ": \"", field.substr(0, 40),
            is_number ? "\" is too large" : "\" is not a number"));
      }
      AppendElement(array.bytes, value);
    }
    row.inputs.push_back(std::move(array));
  }
  return row;
}

absl::StatusOr<std::optional<Row>> CsvReader::Next() {
  absl::StatusOr<std::optional<std::string>> line = std::exchange(pending_, std::nullopt);
  if (!line->has_value()) line = lines_.Next();
  if (!line.ok()) return line.status();
  if (!line->has_value()) return std::nullopt;
  absl::StatusOr<Row> row = Parse(**line);
  if (!row.ok()) return row.status();
  return *std::move(row);
}

}  // namespace tandem::client
