#include "server/tensor_decoder.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/shape.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

using inference::InferTensorContents;
using Input = inference::ModelInferRequest::InferInputTensor;

Bytes AsBytes(const std::string& bytes) {
  return Bytes(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

absl::Status TensorError(const Input& input, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("input ", Quoted(input.name()), ": ", what));
}

// The values' count must be the shape's. `list` is the field of InferTensorContents that they stand
// in.
absl::Status CheckCount(const Input& input, int64_t count, absl::string_view list, int got) {
  if (got == count) return absl::OkStatus();
  return TensorError(input, absl::StrCat("expected ", count, " elements of type ", input.datatype(),
                                         " in ", list, ", got ", got));
}

// Writes the values as elements of type Element.
template <typename Element, typename Values>
absl::Status WriteValues(const Input& input, absl::string_view list, const Values& values,
                         int64_t count, std::string* to) {
  const absl::Status counted = CheckCount(input, count, list, values.size());
  if (!counted.ok()) return counted;
  to->resize(static_cast<size_t>(count) * sizeof(Element));
  char* place = to->data();
  for (const auto value : values) {
    if constexpr (std::is_integral_v<Element> && !std::is_same_v<Element, bool>) {
      if (!std::in_range<Element>(value)) {
        return TensorError(
            input, absl::StrCat("the value ", value, " does not fit in ", input.datatype()));
      }
    }
    const auto element = static_cast<Element>(value);
    std::memcpy(place, &element, sizeof(element));
    place += sizeof(element);
  }
  return absl::OkStatus();
}

absl::Status WriteStrings(const Input& input, int64_t count, std::string* to) {
  const auto& strings = input.contents().bytes_contents();
  const absl::Status counted = CheckCount(input, count, "bytes_contents", strings.size());
  if (!counted.ok()) return counted;
  for (const std::string& string : strings) {
    const auto length = static_cast<uint32_t>(string.size());
    to->append(reinterpret_cast<const char*>(&length), sizeof(length));
    to->append(string);
  }
  return absl::OkStatus();
}

// How many of the lists of typed contents hold something.
int FilledLists(const InferTensorContents& contents) {
  return (contents.bool_contents_size() > 0) + (contents.int_contents_size() > 0) +
         (contents.int64_contents_size() > 0) + (contents.uint_contents_size() > 0) +
         (contents.uint64_contents_size() > 0) + (contents.fp32_contents_size() > 0) +
         (contents.fp64_contents_size() > 0) + (contents.bytes_contents_size() > 0);
}

absl::Status WriteContents(const Input& input, DataType type, int64_t count, std::string* to) {
  const InferTensorContents& contents = input.contents();
  if (FilledLists(contents) > 1) {
    return TensorError(input,
                       "contents holds values of more than one type; send those of its "
                       "datatype only");
  }
  switch (type) {
    case DataType::kBool:
      return WriteValues<bool>(input, "bool_contents", contents.bool_contents(), count, to);
    case DataType::kInt8:
      return WriteValues<int8_t>(input, "int_contents", contents.int_contents(), count, to);
    case DataType::kInt16:
      return WriteValues<int16_t>(input, "int_contents", contents.int_contents(), count, to);
    case DataType::kInt32:
      return WriteValues<int32_t>(input, "int_contents", contents.int_contents(), count, to);
    case DataType::kInt64:
      return WriteValues<int64_t>(input, "int64_contents", contents.int64_contents(), count, to);
    case DataType::kUint8:
      return WriteValues<uint8_t>(input, "uint_contents", contents.uint_contents(), count, to);
    case DataType::kUint16:
      return WriteValues<uint16_t>(input, "uint_contents", contents.uint_contents(), count, to);
    case DataType::kUint32:
      return WriteValues<uint32_t>(input, "uint_contents", contents.uint_contents(), count, to);
    case DataType::kUint64:
      return WriteValues<uint64_t>(input, "uint64_contents", contents.uint64_contents(), count, to);
    case DataType::kFp32:
      return WriteValues<float>(input, "fp32_contents", contents.fp32_contents(), count, to);
    case DataType::kFp64:
      return WriteValues<double>(input, "fp64_contents", contents.fp64_contents(), count, to);
    case DataType::kBytes:
      return WriteStrings(input, count, to);
    default:
      return TensorError(input, absl::StrCat(std::string(DataTypeName(type)),
                                             " has no typed contents; send raw_input_contents"));
  }
}

// Name, type and shape.
absl::StatusOr<Tensor> DecodeHeader(const Input& input) {
  Tensor tensor;
  tensor.name = input.name();
  tensor.type = ParseDataType(input.datatype());
  if (tensor.type == DataType::kInvalid) {
    return TensorError(input, absl::StrCat("unknown datatype ", Quoted(input.datatype()),
                                           "; expected one such as FP32, INT64 or BYTES"));
  }
  const auto region = input.parameters().find("shared_memory_region");
  if (region != input.parameters().end()) {
    return TensorError(input,
                       "shared memory regions are not offered; send the bytes in "
                       "raw_input_contents");
  }
  const absl::Span<const int64_t> shape(input.shape().data(),
                                        static_cast<size_t>(input.shape_size()));
  const absl::StatusOr<int64_t> count = ElementCount(shape);
  if (!count.ok()) return TensorError(input, std::string(count.status().message()));
  tensor.shape.assign(shape.begin(), shape.end());
  return tensor;
}

}  // namespace

absl::StatusOr<std::vector<Tensor>> DecodeTensors(const InputTensors& inputs,
                                                  absl::Span<const Pieces> raw, OwnedBytes* owned) {
  const auto input_count = static_cast<size_t>(inputs.size());
  if (input_count > kMaxRawContents) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request has ", input_count, " inputs; at most ", kMaxRawContents, " are taken"));
  }
  if (!raw.empty() && raw.size() != input_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("the request has ", input_count, " inputs but ", raw.size(),
                     " raw_input_contents; send one for each input, in the same order"));
  }
  std::vector<Tensor> tensors;
  tensors.reserve(input_count);
  for (size_t i = 0; i < input_count; ++i) {
    const Input& input = inputs[static_cast<int>(i)];
    absl::StatusOr<Tensor> tensor = DecodeHeader(input);
    if (!tensor.ok()) return tensor.status();
    if (!raw.empty()) {
      if (input.has_contents() && FilledLists(input.contents()) > 0) {
        return TensorError(input,
                           "the request holds both contents and raw_input_contents; send "
                           "one of them");
      }
      tensor->pieces = raw[i];
    } else {
      // Counted above without an error.
      const int64_t count = ElementCount(tensor->shape).value();
      std::string& bytes = owned->emplace_back();
      const absl::Status written = WriteContents(input, tensor->type, count, &bytes);
      if (!written.ok()) return written;
      tensor->pieces.push_back(AsBytes(bytes));
    }
    tensors.push_back(*std::move(tensor));
  }
  return tensors;
}

std::vector<Pieces> BorrowStrings(const google::protobuf::RepeatedPtrField<std::string>& strings) {
  std::vector<Pieces> all;
  all.reserve(static_cast<size_t>(strings.size()));
  for (const std::string& string : strings) all.push_back({AsBytes(string)});
  return all;
}

}  // namespace tandem::server
