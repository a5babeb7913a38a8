#include "client/dataset/csv_writer.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "client/array_json.h"

namespace tandem::client {
namespace {

std::string Quote(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

absl::StatusOr<std::unique_ptr<CsvWriter>> CsvWriter::Open(const std::string& path, bool named_rows,
                                                           const nlohmann::json& state) {
  absl::StatusOr<OutputFile> body =
      OutputFile::Open(path + ".rows", state.is_null() ? 0 : state.at("bytes").get<int64_t>());
  if (!body.ok()) return body.status();
  auto writer = absl::WrapUnique(new CsvWriter(path, named_rows, *std::move(body)));
  if (!state.is_null()) {
    for (const nlohmann::json& group : state.at("groups")) {
      writer->groups_.push_back({group.at("name").get<std::string>(),
                                 group.at("count").get<int64_t>(),
                                 group.at("since").get<uint64_t>()});
    }
  }
  return writer;
}

absl::Status CsvWriter::AddCells(const std::string& name, const Array& output,
                                 std::vector<std::vector<std::string>>& cells) {
  const int64_t count = CountOf(output);
  size_t index = 0;
  while (index < groups_.size() && groups_[index].name != name) ++index;
  if (index == groups_.size())
    groups_.push_back({name, count, static_cast<uint64_t>(body_.size())});
  if (groups_[index].count != count) {
    return absl::InvalidArgumentError(
        absl::StrCat("output \"", name, "\" has ", count, " elements where earlier rows have ",
                     groups_[index].count, ": a .csv cannot hold that, a .jsonl can"));
  }
  cells.resize(std::max(cells.size(), index + 1));
  cells[index] = ElementTexts(output, static_cast<size_t>(count));
  return absl::OkStatus();
}

absl::Status CsvWriter::Write(const Prediction& prediction) {
  std::vector<std::vector<std::string>> cells;
  absl::Status error = prediction.FirstError();
  absl::Status unfit;
  for (const ModelPrediction& model : prediction.models) {
    for (const Array& output : model.outputs) {
      unfit.Update(AddCells(absl::StrCat(model.key, ".", output.name), output, cells));
    }
  }
  if (prediction.combined.has_value()) {
    unfit.Update(AddCells(prediction.combined->name, *prediction.combined, cells));
  }
  error.Update(unfit);
  std::vector<std::string> line = {absl::StrCat(prediction.row)};
  if (named_rows_) line.push_back(Quote(prediction.source));
  line.push_back(error.ok() ? "" : Quote(StatusText(error)));
  for (size_t i = 0; i < groups_.size(); ++i) {
    std::vector<std::string> group = i < cells.size() ? cells[i] : std::vector<std::string>();
    group.resize(static_cast<size_t>(groups_[i].count));
    for (const std::string& cell : group) line.push_back(Quote(cell));
  }
  const absl::Status written = body_.Append(absl::StrJoin(line, ",") + "\n");
  return written.ok() ? unfit : written;
}

absl::StatusOr<nlohmann::json> CsvWriter::Checkpoint() {
  const absl::Status status = body_.Sync();
  if (!status.ok()) return status;
  nlohmann::json groups = nlohmann::json::array();
  for (const Group& group : groups_) {
    groups.push_back({{"name", group.name}, {"count", group.count}, {"since", group.since}});
  }
  return nlohmann::json{{"bytes", body_.size()}, {"groups", std::move(groups)}};
}

std::string CsvWriter::Header() const {
  std::vector<std::string> names = {"row"};
  if (named_rows_) names.push_back("source");
  names.push_back("error");
  for (const Group& group : groups_) {
    if (group.count == 1) {
      names.push_back(Quote(group.name));
      continue;
    }
    for (int64_t i = 0; i < group.count; ++i)
      names.push_back(Quote(absl::StrCat(group.name, "[", i, "]")));
  }
  return absl::StrJoin(names, ",") + "\n";
}

size_t CsvWriter::MissingColumns(uint64_t row) const {
  size_t columns = 0;
  for (const Group& group : groups_) {
    if (group.since > row) columns += static_cast<size_t>(group.count);
  }
  return columns;
}

absl::Status CsvWriter::Assemble() {
  absl::Status status = body_.Sync();
  if (!status.ok()) return status;
  absl::StatusOr<OutputFile> whole = OutputFile::Open(path_ + ".partial", 0);
  if (!whole.ok()) return whole.status();
  status = whole->Append(Header());
  std::ifstream rows(body_.path(), std::ios::binary);
  std::array<char, 65536> buffer{};
  uint64_t at = 0;
  uint64_t row = 0;
  bool quoted = false;
  std::string text;
  while (status.ok() && rows) {
    rows.read(buffer.data(), buffer.size());
    text.clear();
    for (const char character :
         absl::string_view(buffer.data(), static_cast<size_t>(rows.gcount()))) {
      ++at;
      // Two of them within quotes end and begin anew.
      if (character == '"') quoted = !quoted;
      if (character == '\n' && !quoted) {
        text.append(MissingColumns(row), ',');
        row = at;
      }
      text.push_back(character);
    }
    status = whole->Append(text);
  }
  return status.ok() ? whole->Sync() : status;
}

absl::Status CsvWriter::Complete() {
  absl::Status status = Assemble();
  if (status.ok()) status = MoveInPlace(path_ + ".partial", path_);
  std::error_code ignored;
  if (status.ok()) std::filesystem::remove(body_.path(), ignored);
  return status;
}

absl::StatusOr<std::string> CsvWriter::Suspend() {
  const absl::Status status = Assemble();
  if (!status.ok()) return status;
  return path_ + ".partial";
}

}  // namespace tandem::client
