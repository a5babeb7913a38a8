#include "router/quoted.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tandem {

std::string Quoted(absl::string_view name) {
  constexpr size_t kLongest = 100;
  const char* end = name.size() > kLongest ? "…\"" : "\"";
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, kLongest)), end);
}

}  // namespace tandem
