// What `tandem bench` sends: made up from the model's signature, or read from a file.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/array.h"
#include "client/signature.h"

namespace tandem::client {

// The inputs of one request.
using InputSet = std::vector<Array>;

// Of one request. It is there several times before it is sent.
inline constexpr int64_t kMostMadeUpBytes = int64_t{1} << 30;
inline constexpr size_t kMostMadeUpInputs = 4096;

struct MadeUpInputs {
  // 0 everywhere rather than random values.
  bool zeros = false;
  // Rows of a request, where the first dimension is open.
  int64_t batch = 1;
  // By the input's name, with all of its dimensions or without an open first one, which is then the
  // batch's: for inputs whose sizes the model leaves open.
  std::map<std::string, Shape> shapes;
};

// One request's inputs: floating-point numbers in [0, 1), integers in [0, 100), booleans, strings
// of 8 letters. INVALID_ARGUMENT, naming the input, where its type or a size is not known, or where
// `how` asks for a request of more than kMostMadeUpBytes; FAILED_PRECONDITION where what the server
// tells of the model does, or is no shape or of more than kMostMadeUpInputs inputs.
absl::StatusOr<InputSet> MakeUpInputs(const Signature& signature, const MadeUpInputs& how);

// "NAME:3,224,224", or "3,224,224" for a model's only input. INVALID_ARGUMENT for anything else.
absl::StatusOr<std::map<std::string, Shape>> ParseShapes(const std::vector<std::string>& texts);

// The requests of a file as Triton's perf_analyzer takes them: {"data": [{"INPUT0": [1, 2], …},
// …]}, where an input is nested lists, {"content": [1, 2, 3, 4], "shape": [2, 2]} or {"b64": "…",
// "shape": [2, 2]}: the tensor's bytes, little-endian, strings each behind their length (uint32).
// The shape may be left out. They are not yet made to fit the model. INVALID_ARGUMENT, naming entry
// and input.
absl::StatusOr<std::vector<InputSet>> InputsFromJson(const nlohmann::json& json,
                                                     const Signature& signature);

}  // namespace tandem::client
