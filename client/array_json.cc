#include "client/array_json.h"

#include <array>
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/element.h"

namespace tandem::client {
namespace {

using Json = nlohmann::json;

// Elements that a line for people shows.
constexpr size_t kLineElements = 8;

absl::Status Refuse(const std::string& name, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" ", reason));
}

DataType TypeOf(const Json& value) {
  if (value.is_boolean()) return DataType::kBool;
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX})
    return DataType::kUint64;
  if (value.is_number_integer()) return DataType::kInt64;
  if (value.is_number_float()) return DataType::kFp64;
  if (value.is_string()) return DataType::kBytes;
  return DataType::kInvalid;
}

// The type that holds values of both; kInvalid where there is none.
DataType Join(DataType a, DataType b) {
  if (a == b) return a;
  const auto number = [](DataType type) {
    return type == DataType::kInt64 || type == DataType::kUint64 || type == DataType::kFp64;
  };
  return number(a) && number(b) ? DataType::kFp64 : DataType::kInvalid;
}

absl::Status FindShape(const std::string& name, const Json& json, Shape& shape) {
  const Json* level = &json;
  while (level->is_array()) {
    if (shape.size() == kMaxRank)
      return Refuse(name, "has too many levels of lists: at most 8 are taken");
    shape.push_back(static_cast<int64_t>(level->size()));
    if (level->empty()) break;
    level = &level->front();
  }
  return absl::OkStatus();
}

absl::Status Collect(const std::string& name, const Json& json, const Shape& shape, size_t depth,
                     std::vector<const Json*>& leaves, DataType& type) {
  if (depth < shape.size()) {
    if (!json.is_array() || json.size() != static_cast<size_t>(shape[depth])) {
      return Refuse(name, "has lists of unequal lengths");
    }
    for (const Json& item : json) {
      const absl::Status status = Collect(name, item, shape, depth + 1, leaves, type);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  const DataType leaf = TypeOf(json);
  if (leaf == DataType::kInvalid) {
    return Refuse(name, json.is_array()
                            ? "has lists of unequal lengths"
                            : "holds null or an object where a number, a boolean or a string "
                              "is expected");
  }
  type = leaves.empty() ? leaf : Join(type, leaf);
  if (type == DataType::kInvalid) return Refuse(name, "mixes numbers, booleans and strings");
  leaves.push_back(&json);
  return absl::OkStatus();
}

void AppendLeaf(std::string& bytes, const Json& leaf, DataType type) {
  switch (type) {
    case DataType::kBool:
      AppendElement(bytes, leaf.get<bool>());
      break;
    case DataType::kInt64:
      AppendElement(bytes, leaf.get<int64_t>());
      break;
    case DataType::kUint64:
      AppendElement(bytes, leaf.get<uint64_t>());
      break;
    case DataType::kBytes: {
      const std::string& text = leaf.get_ref<const std::string&>();
      AppendElement(bytes, static_cast<uint32_t>(text.size()));
      bytes.append(text);
      break;
    }
    default:
      AppendElement(bytes, leaf.get<double>());
  }
}

std::string NumberText(double value, bool wide) {
  std::array<char, 32> text;
  const std::to_chars_result result =
      wide ? std::to_chars(text.begin(), text.end(), value)
           : std::to_chars(text.begin(), text.end(), static_cast<float>(value));
  return {text.begin(), result.ptr};
}

// Elements of an array as JSON values, flat.
std::vector<Json> Leaves(const Array& array, size_t limit) {
  std::vector<Json> leaves;
  if (array.type == DataType::kBytes) {
    for (size_t at = 0; at + sizeof(uint32_t) <= array.bytes.size() && leaves.size() < limit;) {
      uint32_t length;
      std::memcpy(&length, array.bytes.data() + at, sizeof(length));
      leaves.emplace_back(array.bytes.substr(at + sizeof(length), length));
      at += sizeof(length) + length;
    }
    return leaves;
  }
  VisitElementType(array.type, [&](auto sample) {
    using T = decltype(sample);
    const size_t count = std::min(limit, array.bytes.size() / sizeof(T));
    leaves.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const T value = ElementAt<T>(array.bytes, i);
      if constexpr (std::is_same_v<T, float>) {
        // Not all the digits of the double.
        leaves.emplace_back(std::isfinite(value) ? Json(std::stod(NumberText(value, false)))
                                                 : Json(value));
      } else if constexpr (std::is_same_v<T, Fp16> || std::is_same_v<T, Bf16>) {
        leaves.emplace_back(static_cast<double>(value));
      } else {
        leaves.emplace_back(value);
      }
    }
  });
  return leaves;
}

Json Nest(const std::vector<Json>& leaves, const Shape& shape, size_t depth, size_t& next) {
  if (depth == shape.size()) return next < leaves.size() ? leaves[next++] : Json();
  Json list = Json::array();
  for (int64_t i = 0; i < shape[depth]; ++i) list.push_back(Nest(leaves, shape, depth + 1, next));
  return list;
}

}  // namespace

absl::StatusOr<Array> ArrayFromJson(std::string name, const Json& json) {
  Array array;
  array.from_text = true;
  absl::Status status = FindShape(name, json, array.shape);
  if (!status.ok()) return status;
  std::vector<const Json*> leaves;
  array.type = DataType::kFp64;
  status = Collect(name, json, array.shape, 0, leaves, array.type);
  if (!status.ok()) return status;
  for (const Json* leaf : leaves) AppendLeaf(array.bytes, *leaf, array.type);
  array.name = std::move(name);
  return array;
}

Json ArrayToJson(const Array& array) {
  size_t next = 0;
  return Nest(Leaves(array, static_cast<size_t>(-1)), array.shape, 0, next);
}

std::vector<std::string> ElementTexts(const Array& array, size_t limit) {
  std::vector<std::string> texts;
  for (const Json& leaf : Leaves(array, limit)) {
    if (leaf.is_string()) {
      texts.push_back(leaf.get<std::string>());
    } else if (leaf.is_number_float()) {
      texts.push_back(NumberText(leaf.get<double>(), array.type == DataType::kFp64));
    } else {
      texts.push_back(leaf.dump());
    }
  }
  return texts;
}

std::string ArrayToLine(const Array& array) {
  std::vector<std::string> texts = ElementTexts(array, kLineElements + 1);
  const bool cut = texts.size() > kLineElements;
  if (cut) texts.resize(kLineElements);
  for (std::string& text : texts) {
    double value = 0;
    const bool real = array.type == DataType::kFp32 || array.type == DataType::kFp64;
    if (real && absl::SimpleAtod(text, &value)) text = absl::StrFormat("%.5g", value);
  }
  return absl::StrCat(TypeText(array.type), ShapeToString(array.shape), " ",
                      absl::StrJoin(texts, ", "), cut ? ", …" : "");
}

std::string DumpJson(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tandem::client
