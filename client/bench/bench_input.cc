#include "client/bench/bench_input.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/array_json.h"
#include "client/element.h"

namespace tandem::client {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kLetters = 8;

// Bytes of a made-up element.
int64_t MadeUpSize(DataType type) {
  return type == DataType::kBytes ? int64_t{sizeof(uint32_t) + kLetters}
                                  : static_cast<int64_t>(ElementSize(type));
}

const Shape* GivenShape(const TensorSpec& input, bool lone, const MadeUpInputs& how) {
  auto given = how.shapes.find(input.name);
  if (given == how.shapes.end() && lone) given = how.shapes.find("");
  return given == how.shapes.end() ? nullptr : &given->second;
}

absl::StatusOr<Shape> ShapeFor(const TensorSpec& input, const Shape* given,
                               const MadeUpInputs& how) {
  // Of a model that does not batch it is a size like others.
  const bool first_is_open = !input.dims.empty() && input.dims[0] < 0;
  if (given == nullptr) {
    if (input.any_shape) {
      return absl::InvalidArgumentError(absl::StrCat("the model does not say the shape of input \"",
                                                     input.name, "\"; give it as --shape ",
                                                     input.name, ":D1,D2"));
    }
    Shape shape = input.dims;
    if (first_is_open) shape[0] = how.batch;
    if (std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size >= 0; }))
      return shape;
    return absl::InvalidArgumentError(absl::StrCat(
        "the model leaves the size of input \"", input.name, "\" open: ", ShapeToString(input.dims),
        "; give it as --shape ", input.name, ":D1,D2"));
  }
  Shape shape = *given;
  if (!first_is_open) return shape;
  if (shape.size() + 1 == input.dims.size()) {
    shape.insert(shape.begin(), how.batch);
  } else if (how.batch != 1 && !shape.empty() && shape[0] != how.batch) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--batch ", how.batch, " cannot be put before --shape ", input.name, ":",
        absl::StrJoin(shape, ","), ": the model's input is ", ShapeToString(input.dims)));
  }
  return shape;
}

// Adds the elements' size to `bytes`; false where that is more than one request may have.
bool AddSize(DataType type, const Shape& shape, int64_t& bytes) {
  const absl::StatusOr<int64_t> count = ElementCount(shape);
  int64_t more = 0;
  return count.ok() && !__builtin_mul_overflow(*count, MadeUpSize(type), &more) &&
         !__builtin_add_overflow(bytes, more, &bytes) && bytes <= kMostMadeUpBytes;
}

absl::Status TooLarge(const TensorSpec& input, const Shape& shape, bool given,
                      const MadeUpInputs& how) {
  if (shape.size() > kMaxRank) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server says that input \"", input.name, "\" has ", shape.size(),
                     " dimensions; at most ", kMaxRank, " are taken"));
  }
  const bool by_batch = !input.dims.empty() && input.dims[0] < 0 && how.batch != 1;
  const std::string text =
      absl::StrCat("input \"", input.name, "\" of ", TypeText(input.type), ShapeToString(shape),
                   " makes a request of more than ", kMostMadeUpBytes >> 20, " MiB");
  if (given || by_batch)
    return absl::InvalidArgumentError(absl::StrCat(text, "; give a smaller --shape or --batch"));
  return absl::FailedPreconditionError(
      absl::StrCat(text, ", by what the server says of the model"));
}

void AppendString(std::string& bytes, std::mt19937& random) {
  AppendElement(bytes, kLetters);
  for (uint32_t i = 0; i < kLetters; ++i) bytes.push_back(static_cast<char>('a' + random() % 26));
}

// The bytes of `count` elements.
std::string MakeUpBytes(DataType type, int64_t count, bool zeros, std::mt19937& random) {
  std::string bytes;
  bytes.reserve(static_cast<size_t>(count * MadeUpSize(type)));
  for (int64_t i = 0; i < count; ++i) {
    if (type == DataType::kBytes) {
      AppendString(bytes, random);
      continue;
    }
    const double unit =
        zeros ? 0 : static_cast<double>(random()) / (static_cast<double>(std::mt19937::max()) + 1);
    VisitElementType(type, [&](auto kind) {
      using Element = decltype(kind);
      if constexpr (std::is_same_v<Element, bool>) {
        AppendElement(bytes, unit >= 0.5);
      } else if constexpr (std::is_integral_v<Element>) {
        AppendElement(bytes, static_cast<Element>(unit * 100));
      } else {
        AppendElement(bytes, Element(unit));
      }
    });
  }
  return bytes;
}

absl::StatusOr<Shape> ShapeOfEntry(const std::string& name, const Json& json) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("the \"shape\" of \"", name, "\": expected a list of at most ", kMaxRank,
                   " sizes of 0 or more, such as [2, 2]"));
  if (!json.is_array() || json.size() > kMaxRank) return wrong;
  Shape shape;
  for (const Json& size : json) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t{INT64_MAX}) return wrong;
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

// How many strings stand behind their lengths; what is no string is found later.
int64_t CountStrings(const std::string& bytes) {
  int64_t count = 0;
  uint32_t length = 0;
  for (size_t at = 0; at + sizeof(length) <= bytes.size(); at += sizeof(length) + length) {
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    ++count;
  }
  return count;
}

// A tensor's bytes, flat.
absl::StatusOr<Array> ArrayOfBase64(const std::string& name, const Json& text,
                                    const TensorSpec* input) {
  if (input == nullptr || input->type == DataType::kInvalid) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" has bytes (\"b64\"), but the model does not say the type of ",
                     "such an input; give its values as \"content\""));
  }
  Array array{name, input->type, {}, {}, false};
  if (!text.is_string() || !absl::Base64Unescape(text.get_ref<const std::string&>(), &array.bytes))
    return absl::InvalidArgumentError(absl::StrCat("the \"b64\" of \"", name, "\" is not Base64"));
  array.shape = {array.type == DataType::kBytes
                     ? CountStrings(array.bytes)
                     : static_cast<int64_t>(array.bytes.size() / ElementSize(array.type))};
  if (const absl::Status status = CheckSize(array); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the \"b64\" of \"", name, "\" has ", array.bytes.size(), " bytes, which are no ",
        array.type == DataType::kBytes ? "strings behind their lengths (uint32)"
                                       : "whole number of elements",
        " of ", TypeText(array.type)));
  }
  return array;
}

absl::StatusOr<Array> ArrayOfEntry(const std::string& name, const Json& entry,
                                   const Signature& signature) {
  if (!entry.is_object()) return ArrayFromJson(name, entry);
  const bool is_base64 = entry.contains("b64");
  if (!is_base64 && !entry.contains("content")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" has neither \"content\" nor \"b64\""));
  }
  absl::StatusOr<Array> array = is_base64
                                    ? ArrayOfBase64(name, entry["b64"], signature.Find(name, false))
                                    : ArrayFromJson(name, entry["content"]);
  if (!array.ok() || !entry.contains("shape")) return array;
  absl::StatusOr<Shape> shape = ShapeOfEntry(name, entry["shape"]);
  if (!shape.ok()) return shape.status();
  const absl::StatusOr<int64_t> count = ElementCount(*shape);
  if (!count.ok())
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\": ", count.status().message()));
  if (*count != CountOf(*array)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" has ", CountOf(*array),
                                                   " elements where its shape asks for ", *count));
  }
  array->shape = *std::move(shape);
  return array;
}

}  // namespace

absl::StatusOr<InputSet> MakeUpInputs(const Signature& signature, const MadeUpInputs& how) {
  for (const auto& [name, shape] : how.shapes) {
    if (signature.Find(name, false) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("--shape: model \"", signature.model,
                                                     "\" has no input \"", name,
                                                     "\", or more than one"));
    }
  }
  if (signature.inputs.size() > kMostMadeUpInputs) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server says that model \"", signature.model, "\" has ",
                     signature.inputs.size(), " inputs; requests are made up for at most ",
                     kMostMadeUpInputs, ": give the values with --input or --input-data"));
  }
  // Always the same, so that runs compare.
  std::mt19937 random(1);
  InputSet inputs;
  const bool lone = signature.inputs.size() == 1;
  int64_t bytes = 0;
  for (const TensorSpec& input : signature.inputs) {
    if (input.optional) continue;
    const Shape* const given = GivenShape(input, lone, how);
    absl::StatusOr<Shape> shape = ShapeFor(input, given, how);
    if (!shape.ok()) return shape.status();
    if (input.type == DataType::kInvalid) {
      return absl::InvalidArgumentError(absl::StrCat("the model does not say the type of input \"",
                                                     input.name,
                                                     "\"; give its value with --input"));
    }
    if (!AddSize(input.type, *shape, bytes)) return TooLarge(input, *shape, given != nullptr, how);
    inputs.push_back({input.name, input.type, *std::move(shape), {}, false});
  }
  // Only now, since what all of them take is known.
  for (Array& input : inputs)
    input.bytes = MakeUpBytes(input.type, CountOf(input), how.zeros, random);
  return inputs;
}

absl::StatusOr<std::map<std::string, Shape>> ParseShapes(const std::vector<std::string>& texts) {
  std::map<std::string, Shape> shapes;
  for (const std::string& text : texts) {
    const size_t colon = text.rfind(':');
    const std::string name = colon == std::string::npos ? "" : text.substr(0, colon);
    const std::string sizes = colon == std::string::npos ? text : text.substr(colon + 1);
    Shape shape;
    for (const absl::string_view part : absl::StrSplit(sizes, ',')) {
      int64_t size = 0;
      if (!absl::SimpleAtoi(part, &size) || size < 0 || shape.size() == kMaxRank) {
        return absl::InvalidArgumentError(absl::StrCat("--shape ", text,
                                                       ": expected NAME:D1,D2 with at most ",
                                                       kMaxRank, " sizes of 0 or more"));
      }
      shape.push_back(size);
    }
    shapes[name] = std::move(shape);
  }
  return shapes;
}

absl::StatusOr<std::vector<InputSet>> InputsFromJson(const Json& json, const Signature& signature) {
  if (!json.is_object() || !json.contains("data") || !json["data"].is_array() ||
      json["data"].empty()) {
    return absl::InvalidArgumentError(
        "expected {\"data\": [{\"INPUT0\": [1, 2]}, …]} with at least one request");
  }
  std::vector<InputSet> sets;
  for (const Json& entry : json["data"]) {
    const std::string where = absl::StrCat("request ", sets.size(), " of \"data\": ");
    if (entry.is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where,
                       "it is a list, as for the sequences of a stateful model; only requests "
                       "that stand for themselves are taken, as objects in one list"));
    }
    if (!entry.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "expected an object with a value for each input"));
    }
    InputSet set;
    for (const auto& [name, value] : entry.items()) {
      absl::StatusOr<Array> array = ArrayOfEntry(name, value, signature);
      if (!array.ok())
        return absl::InvalidArgumentError(absl::StrCat(where, array.status().message()));
      set.push_back(*std::move(array));
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace tandem::client
