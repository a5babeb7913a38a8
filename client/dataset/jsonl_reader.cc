#include "client/dataset/jsonl_reader.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "client/array_json.h"

namespace tandem::client {

absl::StatusOr<std::unique_ptr<JsonlReader>> JsonlReader::Open(const std::string& path) {
  absl::StatusOr<LineReader> lines = LineReader::Open(path);
  if (!lines.ok()) return lines.status();
  return absl::WrapUnique(new JsonlReader(*std::move(lines)));
}

absl::StatusOr<std::optional<Row>> JsonlReader::Next() {
  const absl::StatusOr<std::optional<std::string>> line = lines_.Next();
  if (!line.ok()) return line.status();
  if (!line->has_value()) return std::nullopt;
  const auto refuse = [this](absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat("line ", lines_.line_number(), reason));
  };
  const nlohmann::json json = nlohmann::json::parse(**line, nullptr, false);
  if (json.is_discarded()) return refuse(" is not JSON");
  if (json.is_object() && json.empty()) return refuse(" holds no inputs");
  Row row;
  row.place = absl::StrCat("line ", lines_.line_number());
  const auto add = [&row](const std::string& name, const nlohmann::json& value) {
    absl::StatusOr<Array> array = ArrayFromJson(name, value);
    if (!array.ok()) return array.status();
    row.inputs.push_back(*std::move(array));
    return absl::OkStatus();
  };
  if (!json.is_object()) {
    const absl::Status status = add("", json);
    if (!status.ok()) return refuse(absl::StrCat(": ", status.message()));
    return row;
  }
  for (const auto& [name, value] : json.items()) {
    const absl::Status status = add(name, value);
    if (!status.ok()) return refuse(absl::StrCat(": ", status.message()));
  }
  return row;
}

}  // namespace tandem::client
