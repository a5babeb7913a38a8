#include "client/bench/load_levels.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem::client {
namespace {

constexpr size_t kMostLevels = 1000;

// The numbers between the separators; empty where one of them is no number above 0.
std::vector<double> Numbers(const std::string& text, char separator) {
  std::vector<double> numbers;
  for (const absl::string_view part : absl::StrSplit(text, separator)) {
    double number = 0;
    if (!absl::SimpleAtod(part, &number) || !std::isfinite(number) || number <= 0) return {};
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

absl::StatusOr<std::vector<double>> ParseLevels(const std::string& option,
                                                const std::string& text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      option, " ", text, ": expected a number above 0, a list as 1,4,16, or a range as 1:64 ",
      "(doubled) or 1:64:8 (in steps of 8), of at most ", kMostLevels, " levels"));
  const bool is_range = text.find(':') != std::string::npos;
  std::vector<double> numbers = Numbers(text, is_range ? ':' : ',');
  if (numbers.empty() || numbers.size() > kMostLevels) return wrong;
  if (!is_range) return numbers;
  if (numbers.size() > 3 || numbers[1] < numbers[0]) return wrong;
  const double last = numbers[1];
  std::vector<double> levels;
  for (double level = numbers[0]; level < last;
       level = numbers.size() == 3 ? level + numbers[2] : level * 2) {
    if (levels.size() + 1 == kMostLevels) return wrong;
    levels.push_back(level);
  }
  levels.push_back(last);
  return levels;
}

}  // namespace tandem::client
