// Bounds of a number of the command line.
#pragma once

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

}  // namespace tandem::client
