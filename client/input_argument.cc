#include "client/input_argument.h"

#include <cctype>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/array_json.h"
#include "client/npy_format.h"
#include "client/text_file.h"

namespace tandem::client {
namespace {

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         absl::StrContains("_.-/", std::string(1, c));
}

// Splits "NAME=VALUE"; the name is empty where there is none.
void Split(const std::string& argument, std::string& name, std::string& value) {
  size_t end = 0;
  while (end < argument.size() && IsNameCharacter(argument[end])) ++end;
  const bool named = end > 0 && end < argument.size() && argument[end] == '=';
  name = named ? argument.substr(0, end) : "";
  value = named ? argument.substr(end + 1) : argument;
}

absl::StatusOr<Array> FromJsonText(const std::string& name, const std::string& text,
                                   absl::string_view origin) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--input ", name, ": ", origin,
        " is not JSON; give a number, a list as [[1,2],[3,4]], a quoted string, or a file "
        "that ends in .npy or .json"));
  }
  absl::StatusOr<Array> array = ArrayFromJson(name, json);
  if (!array.ok())
    return absl::InvalidArgumentError(absl::StrCat("--input ", array.status().message()));
  return array;
}

}  // namespace

absl::StatusOr<Array> ReadNpyFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  const absl::StatusOr<NpyHeader> header = ReadNpyHeader(stream);
  if (!header.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", header.status().message()));
  }
  Array array{"", header->type, header->shape, {}, false};
  const std::streampos data = stream.tellg();
  stream.seekg(0, std::ios::end);
  const absl::StatusOr<size_t> size = ByteSize(array.type, array.shape);
  // Before anything of that size is allocated.
  if (!size.ok() || static_cast<size_t>(stream.tellg() - data) < *size) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is cut off: it holds fewer elements than its shape ", ShapeToString(array.shape)));
  }
  stream.seekg(data);
  array.bytes.resize(*size);
  stream.read(array.bytes.data(), static_cast<std::streamsize>(*size));
  if (!stream) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  return array;
}

absl::StatusOr<Array> ParseInputArgument(const std::string& argument) {
  std::string name;
  std::string value;
  Split(argument, name, value);
  if (absl::EndsWith(value, ".npy")) {
    absl::StatusOr<Array> array = ReadNpyFile(value);
    if (array.ok()) array->name = name;
    return array;
  }
  if (absl::EndsWith(value, ".json")) {
    const absl::StatusOr<std::string> text = ReadTextFile(value);
    if (!text.ok()) return text.status();
    return FromJsonText(name, *text, value);
  }
  return FromJsonText(name, value, absl::StrCat("\"", value, "\""));
}

absl::StatusOr<std::vector<Array>> ParseInputArguments(const std::vector<std::string>& arguments) {
  std::vector<Array> arrays;
  for (const std::string& argument : arguments) {
    absl::StatusOr<Array> array = ParseInputArgument(argument);
    if (!array.ok()) return array.status();
    arrays.push_back(*std::move(array));
  }
  return arrays;
}

}  // namespace tandem::client
