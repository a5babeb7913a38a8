#include "router/catalog.h"

#include "absl/strings/str_cat.h"

namespace tandem {

const char* ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kReady:
      return "READY";
    case ModelState::kUnavailable:
      return "UNAVAILABLE";
  }
  return "UNKNOWN";
}

std::string VersionText(int64_t version) { return version > 0 ? absl::StrCat(version) : ""; }

}  // namespace tandem
