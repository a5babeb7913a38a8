// Arrays as JSON, and as a line of text for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "client/array.h"

namespace tandem::client {

// The array that nested lists (or one value) stand for: BOOL of booleans, INT64 of integers, FP64
// of numbers, BYTES of strings. INVALID_ARGUMENT for lists of unequal lengths, mixed types, null,
// objects or more than kMaxRank levels.
absl::StatusOr<Array> ArrayFromJson(std::string name, const nlohmann::json& json);

// Nested lists; one value for a scalar. NaN and infinities, which JSON lacks, become null; BYTES
// that are not UTF-8 get U+FFFD in place of the bad bytes.
nlohmann::json ArrayToJson(const Array& array);

// The elements, flat, as text: numbers so that they read back equal, strings as they are.
std::vector<std::string> ElementTexts(const Array& array, size_t limit);

// "FP32[1,3] 0.1, 0.2, 0.7", cut after a few elements.
std::string ArrayToLine(const Array& array);

// One line of JSON that is valid whatever bytes the strings hold.
std::string DumpJson(const nlohmann::json& json, int indent = -1);

}  // namespace tandem::client
