#include "server/infer_json.h"

#include <google/protobuf/map.h>

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/data_type.h"
#include "core/shape.h"
#include "router/quoted.h"
#include "server/response_encoder.h"

namespace tandem::server {
namespace {

using inference::InferParameter;
using inference::InferTensorContents;
using inference::ModelInferRequest;
using nlohmann::json;

// Deeper than any tensor, and far from the end of the stack.
constexpr int kMostDepth = 32;

absl::Status BadTensor(const std::string& name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("input ", Quoted(name), ": ", what));
}

// False where it is no integer, or none of 64 bits.
bool IsInt64(const json& value) {
  return value.is_number_unsigned() ? std::in_range<int64_t>(value.get<uint64_t>())
                                    : value.is_number_integer();
}

// False where it is no number, or one beyond those of 32 bits.
bool IsFp32(const json& value) { return value.is_number() && std::isfinite(value.get<float>()); }

// Adds one value to the contents of its type. False where it is of another kind.
bool AddValue(const json& value, DataType type, InferTensorContents* contents) {
  switch (type) {
    case DataType::kBool:
      if (value.is_boolean()) contents->add_bool_contents(value.get<bool>());
      return value.is_boolean();
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
      if (!IsInt64(value) || !std::in_range<int32_t>(value.get<int64_t>())) return false;
      contents->add_int_contents(value.get<int32_t>());
      return true;
    case DataType::kInt64:
      if (!IsInt64(value)) return false;
      contents->add_int64_contents(value.get<int64_t>());
      return true;
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
      if (!value.is_number_unsigned() || !std::in_range<uint32_t>(value.get<uint64_t>())) {
        return false;
      }
      contents->add_uint_contents(value.get<uint32_t>());
      return true;
    case DataType::kUint64:
      if (!value.is_number_unsigned()) return false;
      contents->add_uint64_contents(value.get<uint64_t>());
      return true;
    case DataType::kFp32:
      if (IsFp32(value)) contents->add_fp32_contents(value.get<float>());
      return IsFp32(value);
    case DataType::kFp64:
      if (value.is_number()) contents->add_fp64_contents(value.get<double>());
      return value.is_number();
    case DataType::kBytes:
      if (value.is_string()) contents->add_bytes_contents(value.get<std::string>());
      return value.is_string();
    default:
      return false;
  }
}

// The beginning of a value, for a message.
std::string Shown(const json& value) {
  constexpr size_t kMostShown = 40;
  const std::string text =
      value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  return text.size() > kMostShown ? text.substr(0, kMostShown) + "…" : text;
}

absl::Status NestedOtherwise(const ModelInferRequest::InferInputTensor& tensor) {
  return BadTensor(tensor.name(),
                   "its data is nested otherwise than its shape; one flat list would do as well");
}

// Adds the values of a flat list, or of one that stands for the dimensions from `level` on.
absl::Status AddValues(const json& values, bool is_flat, int level,
                       ModelInferRequest::InferInputTensor* tensor) {
  if (!is_flat && std::cmp_not_equal(values.size(), tensor->shape(level))) {
    return NestedOtherwise(*tensor);
  }
  const bool holds_lists = !is_flat && level + 1 < tensor->shape_size();
  const DataType type = ParseDataType(tensor->datatype());
  for (const json& value : values) {
    if (value.is_array() != holds_lists) return NestedOtherwise(*tensor);
    if (holds_lists) {
      if (absl::Status added = AddValues(value, is_flat, level + 1, tensor); !added.ok())
        return added;
    } else if (!AddValue(value, type, tensor->mutable_contents())) {
      return BadTensor(tensor->name(), absl::StrCat("its data holds ", Shown(value), ": expected ",
                                                    tensor->datatype()));
    }
  }
  return absl::OkStatus();
}

// Values may be nested as the shape is, or in one flat list.
absl::Status AddData(const json& data, ModelInferRequest::InferInputTensor* tensor) {
  const bool is_flat = data.empty() || !data.front().is_array();
  if (!is_flat && tensor->shape_size() == 0) return NestedOtherwise(*tensor);
  if (absl::Status added = AddValues(data, is_flat, 0, tensor); !added.ok()) return added;
  const absl::StatusOr<int64_t> count = ElementCount(tensor->shape());
  if (!count.ok()) return BadTensor(tensor->name(), count.status().message());
  if (is_flat && std::cmp_not_equal(data.size(), *count)) {
    return BadTensor(tensor->name(),
                     absl::StrCat("its data has ", data.size(), " values, its shape ",
                                  ShapeToString(tensor->shape()), " holds ", *count));
  }
  return absl::OkStatus();
}

// The parameters of a request or of a tensor, where it has some.
absl::Status ReadParameters(const json& owner,
                            google::protobuf::Map<std::string, InferParameter>* read) {
  if (!owner.contains("parameters")) return absl::OkStatus();
  const json& parameters = owner["parameters"];
  if (!parameters.is_object()) return absl::InvalidArgumentError("parameters is no object");
  for (const auto& [name, value] : parameters.items()) {
    InferParameter& parameter = (*read)[name];
    if (value.is_boolean()) {
      parameter.set_bool_param(value.get<bool>());
    } else if (IsInt64(value)) {
      parameter.set_int64_param(value.get<int64_t>());
    } else if (value.is_string()) {
      parameter.set_string_param(value.get<std::string>());
    } else if (value.is_number()) {
      parameter.set_double_param(value.get<double>());
    } else {
      return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' is no plain value"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadInput(const json& input, ModelInferRequest::InferInputTensor* tensor) {
  if (!input.is_object() || !input.contains("name") || !input["name"].is_string()) {
    return absl::InvalidArgumentError("an entry of inputs has no name");
  }
  tensor->set_name(input["name"].get<std::string>());
  if (!input.contains("datatype") || !input["datatype"].is_string()) {
    return BadTensor(tensor->name(), "it has no datatype");
  }
  tensor->set_datatype(input["datatype"].get<std::string>());
  if (ParseDataType(tensor->datatype()) == DataType::kInvalid) {
    return BadTensor(tensor->name(), absl::StrCat("unknown datatype ", Quoted(tensor->datatype()),
                                                  "; expected one such as FP32, INT64 or BYTES"));
  }
  if (tensor->datatype() == "FP16" || tensor->datatype() == "BF16") {
    return BadTensor(tensor->name(),
                     absl::StrCat(tensor->datatype(), " has no form in JSON; use gRPC"));
  }
  if (!input.contains("shape") || !input["shape"].is_array()) {
    return BadTensor(tensor->name(), "it has no shape");
  }
  for (const json& dim : input["shape"]) {
    if (!IsInt64(dim)) return BadTensor(tensor->name(), "its shape is no list of integers");
    tensor->add_shape(dim.get<int64_t>());
  }
  if (!input.contains("data") || !input["data"].is_array()) {
    return BadTensor(tensor->name(), "it has no list of data");
  }
  if (absl::Status added = AddData(input["data"], tensor); !added.ok()) return added;
  return ReadParameters(input, tensor->mutable_parameters());
}

json PlainValue(const InferParameter& parameter) {
  switch (parameter.parameter_choice_case()) {
    case InferParameter::kInt64Param:
      return parameter.int64_param();
    case InferParameter::kDoubleParam:
      return parameter.double_param();
    default:
      return parameter.string_param();
  }
}

template <typename Element>
json ReadElements(const std::string& bytes) {
  json list = json::array();
  for (size_t at = 0; at + sizeof(Element) <= bytes.size(); at += sizeof(Element)) {
    Element element;
    std::memcpy(&element, bytes.data() + at, sizeof(element));
    list.push_back(element);
  }
  return list;
}

json ReadStrings(const std::string& bytes) {
  json list = json::array();
  size_t at = 0;
  uint32_t length = 0;
  while (at + sizeof(length) <= bytes.size()) {
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    at += sizeof(length);
    list.push_back(bytes.substr(at, length));
    at += length;
  }
  return list;
}

absl::StatusOr<json> WriteData(const Tensor& tensor) {
  std::string bytes(tensor.byte_size(), '\0');
  CopyBytes(tensor, reinterpret_cast<std::byte*>(bytes.data()));
  switch (tensor.type) {
    case DataType::kBool: {
      json list = json::array();
      for (const char byte : bytes) list.push_back(byte != 0);
      return list;
    }
    case DataType::kUint8:
      return ReadElements<uint8_t>(bytes);
    case DataType::kUint16:
      return ReadElements<uint16_t>(bytes);
    case DataType::kUint32:
      return ReadElements<uint32_t>(bytes);
    case DataType::kUint64:
      return ReadElements<uint64_t>(bytes);
    case DataType::kInt8:
      return ReadElements<int8_t>(bytes);
    case DataType::kInt16:
      return ReadElements<int16_t>(bytes);
    case DataType::kInt32:
      return ReadElements<int32_t>(bytes);
    case DataType::kInt64:
      return ReadElements<int64_t>(bytes);
    case DataType::kFp32:
      return ReadElements<float>(bytes);
    case DataType::kFp64:
      return ReadElements<double>(bytes);
    case DataType::kBytes:
      return ReadStrings(bytes);
    default:
      return absl::InvalidArgumentError(absl::StrCat("output '", tensor.name, "' is ",
                                                     std::string(DataTypeName(tensor.type)),
                                                     ", which JSON has no form for; use gRPC"));
  }
}

}  // namespace

absl::StatusOr<ModelInferRequest> ParseInferJson(const std::string& body) {
  int depth = 0;
  bool too_deep = false;
  // The parser itself does not limit how deep lists nest.
  const auto limit = [&](int level, json::parse_event_t, json&) {
    depth = level;
    too_deep |= depth > kMostDepth;
    return !too_deep;
  };
  const json document = json::parse(body, limit, false);
  if (too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body's lists are nested more than ", kMostDepth, " deep"));
  }
  if (document.is_discarded() || !document.is_object()) {
    return absl::InvalidArgumentError(
        "the body is no JSON object: expected one with \"inputs\", as in the Open Inference "
        "Protocol, neither compressed nor with anything behind it");
  }
  ModelInferRequest message;
  if (document.contains("id") && !document["id"].is_null()) {
    if (!document["id"].is_string()) return absl::InvalidArgumentError("id is no string");
    message.set_id(document["id"].get<std::string>());
  }
  absl::Status status = ReadParameters(document, message.mutable_parameters());
  if (!status.ok()) return status;
  if (!document.contains("inputs") || !document["inputs"].is_array()) {
    return absl::InvalidArgumentError("the body has no list of inputs");
  }
  for (const json& input : document["inputs"]) {
    if (status = ReadInput(input, message.add_inputs()); !status.ok()) return status;
  }
  if (!document.contains("outputs")) return message;
  for (const json& output : document["outputs"]) {
    if (!output.is_object() || !output.contains("name") || !output["name"].is_string()) {
      return absl::InvalidArgumentError("an entry of outputs has no name");
    }
    ModelInferRequest::InferRequestedOutputTensor& named = *message.add_outputs();
    named.set_name(output["name"].get<std::string>());
    if (status = ReadParameters(output, named.mutable_parameters()); !status.ok()) return status;
  }
  return message;
}

absl::StatusOr<json> WriteInferJson(const InferResponse& response, const std::string& id,
                                    bool wants_placement) {
  if (!response.status.ok()) return response.status;
  json outputs = json::array();
  for (const Tensor& tensor : response.outputs) {
    absl::StatusOr<json> data = WriteData(tensor);
    if (!data.ok()) return data.status();
    outputs.push_back({{"name", tensor.name},
                       {"datatype", std::string(DataTypeName(tensor.type))},
                       {"shape", std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end())},
                       {"data", *std::move(data)}});
  }
  json body{{"model_name", response.model},
            {"model_version", absl::StrCat(response.version)},
            {"outputs", std::move(outputs)}};
  if (!id.empty()) body["id"] = id;
  Parameters parameters;
  AddPlacement(response.placement, wants_placement, &parameters);
  for (const auto& [name, parameter] : parameters) body["parameters"][name] = PlainValue(parameter);
  return body;
}

uint64_t MemoryOfInferJson(const InferResponse& response) {
  // An element of JSON and its digits, while lists and text grow; strings may be escaped.
  constexpr uint64_t kOfElement = 64;
  constexpr uint64_t kOfByte = 8;
  uint64_t bytes = 0;
  for (const Tensor& tensor : response.outputs) {
    bytes += kOfElement * static_cast<uint64_t>(ElementCount(tensor.shape).value_or(0));
    bytes += kOfByte * tensor.byte_size();
  }
  return bytes;
}

}  // namespace tandem::server
