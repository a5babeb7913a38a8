#include "client/bench/bench_input.h"

#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/array_json.h"
#include "client/element.h"

namespace tandem::client {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Shape> ShapeFor(const TensorSpec& input, bool lone, const MadeUpInputs& how) {
  auto given = how.shapes.find(input.name);
  if (given == how.shapes.end() && lone) given = how.shapes.find("");
  const bool has_batch = !input.dims.empty() && input.dims[0] < 0;
  Shape shape = input.dims;
  if (given != how.shapes.end()) shape = given->second;
  if (has_batch && given != how.shapes.end()) shape.insert(shape.begin(), how.batch);
  if (has_batch && given == how.shapes.end()) shape[0] = how.batch;
  const bool open = input.any_shape && given == how.shapes.end();
  for (const int64_t size : shape) {
    if (size >= 0 && !open) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the model leaves the size of input \"", input.name, "\" open: ", ShapeToString(input.dims),
        "; give it as --shape ", input.name, ":D1,D2"));
  }
  if (open) {
    return absl::InvalidArgumentError(absl::StrCat("the model does not say the shape of input \"",
                                                   input.name, "\"; give it as --shape ",
                                                   input.name, ":D1,D2"));
  }
  return shape;
}

void AppendString(std::string& bytes, std::mt19937& random) {
  constexpr uint32_t kLetters = 8;
  AppendElement(bytes, kLetters);
  for (uint32_t i = 0; i < kLetters; ++i) bytes.push_back(static_cast<char>('a' + random() % 26));
}

// The bytes of `count` elements.
std::string MakeUpBytes(DataType type, int64_t count, bool zeros, std::mt19937& random) {
  std::string bytes;
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

absl::StatusOr<Array> ArrayOfEntry(const std::string& name, const Json& entry) {
  if (!entry.is_object()) return ArrayFromJson(name, entry);
  if (!entry.contains("content")) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" has no \"content\""));
  }
  absl::StatusOr<Array> array = ArrayFromJson(name, entry["content"]);
  if (!array.ok() || !entry.contains("shape")) return array;
  Shape shape;
  int64_t count = 1;
  for (const Json& size : entry["shape"]) {
    if (!size.is_number_unsigned() || shape.size() == kMaxRank ||
        __builtin_mul_overflow(count, size.get<int64_t>(), &count)) {
      return absl::InvalidArgumentError(absl::StrCat("the \"shape\" of \"", name, "\" is none"));
    }
    shape.push_back(size.get<int64_t>());
  }
  if (count != CountOf(*array)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" has ", CountOf(*array),
                                                   " elements where its shape asks for ", count));
  }
  array->shape = std::move(shape);
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
  // Always the same, so that runs compare.
  std::mt19937 random(1);
  InputSet inputs;
  const bool lone = signature.inputs.size() == 1;
  for (const TensorSpec& input : signature.inputs) {
    if (input.optional) continue;
    absl::StatusOr<Shape> shape = ShapeFor(input, lone, how);
    if (!shape.ok()) return shape.status();
    if (input.type == DataType::kInvalid) {
      return absl::InvalidArgumentError(absl::StrCat("the model does not say the type of input \"",
                                                     input.name,
                                                     "\"; give its value with --input"));
    }
    const absl::StatusOr<int64_t> count = ElementCount(*shape);
    if (!count.ok()) return count.status();
    inputs.push_back({input.name, input.type, *std::move(shape),
                      MakeUpBytes(input.type, *count, how.zeros, random), false});
  }
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

absl::StatusOr<std::vector<InputSet>> InputsFromJson(const Json& json) {
  if (!json.is_object() || !json.contains("data") || !json["data"].is_array() ||
      json["data"].empty()) {
    return absl::InvalidArgumentError(
        "expected {\"data\": [{\"INPUT0\": [1, 2]}, …]} with at least one request");
  }
  std::vector<InputSet> sets;
  for (const Json& entry : json["data"]) {
    const std::string where = absl::StrCat("request ", sets.size(), " of \"data\": ");
    if (!entry.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "expected an object with a value for each input"));
    }
    InputSet set;
    for (const auto& [name, value] : entry.items()) {
      absl::StatusOr<Array> array = ArrayOfEntry(name, value);
      if (!array.ok())
        return absl::InvalidArgumentError(absl::StrCat(where, array.status().message()));
      set.push_back(*std::move(array));
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace tandem::client
