// Bounds of a number of the command line.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tandem::client {

// For CLI11's check(), whose own Range lets what is not a number through.
inline auto NumberFrom(double least, double most) {
  return [least, most](const std::string& text) {
    double number = 0;
    if (absl::SimpleAtod(text, &number) && number >= least && number <= most) return std::string();
    return absl::StrCat("\"", text, "\": expected a number from ", least, " to ", most);
  };
}

// For CLI11's check(): the library itself takes a negative number for a very large one.
inline std::string CheckSeed(const std::string& text) {
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number)) return "";
  return absl::StrCat("\"", text, "\": expected a whole number from 0 to ",
                      std::numeric_limits<uint64_t>::max());
}

}  // namespace tandem::client
