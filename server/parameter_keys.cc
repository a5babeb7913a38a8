#include "server/parameter_keys.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

constexpr absl::string_view kSynthetic = "synthetic";
constexpr absl::string_view kTorchScript = "pytorch_libtorch";

struct Key {
  absl::string_view name;
  // The only platform that it is for; empty: all, or others refuse it themselves.
  absl::string_view platform;
  // It may hold for one kind of pool alone.
  bool by_kind = true;
};

constexpr Key kKeys[] = {
    {"placement", "", false},
    {"fallback", "", false},
    {"execution_timeout_ms", "", false},
    {"method", kTorchScript, false},
    {"intra_op_thread_count", ""},
    {"autocast", ""},
    {"cuda_graphs", ""},
    {"alpha_us", kSynthetic},
    {"beta_us", kSynthetic},
    {"load_us", kSynthetic},
    {"mode", kSynthetic},
    {"load_mode", kSynthetic},
    {"trigger", kSynthetic},
    {"fail_every", kSynthetic},
    {"oom_rows", kSynthetic},
};

constexpr absl::string_view kThreads = "intra_op_thread_count";
constexpr absl::string_view kTritonThreads = "INTRA_OP_THREAD_COUNT";

const Key* Find(absl::string_view name) {
  const auto* const found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                         [&](const Key& key) { return key.name == name; });
  return found == std::end(kKeys) ? nullptr : found;
}

}  // namespace

absl::string_view BaseName(absl::string_view key) { return key.substr(0, key.find('@')); }

std::string OwnKey(const std::string& key) {
  return key == kTritonThreads ? std::string(kThreads) : key;
}

absl::Status CheckParameterKeys(const inference::ModelConfig& message, const TextProtoLines& lines,
                                const std::string& platform, std::vector<std::string>* notes) {
  for (const auto& [given, parameter] : message.parameters()) {
    const std::string name = OwnKey(given);
    const auto fail = [&, &key = given](absl::string_view what) {
      return FieldError(lines, message, "parameters", absl::StrCat(key, ": ", what));
    };
    if (name != given && message.parameters().contains(name)) {
      return fail(absl::StrCat("stands beside ", name, ", which says the same; keep one"));
    }
    const absl::string_view base = BaseName(name);
    const Key* const known = Find(base);
    if (known == nullptr || (!known->platform.empty() && known->platform != platform)) {
      notes->push_back(absl::StrCat(
          lines.Where(message, "parameters"), ": parameters: ", given, " is passed over: ",
          known == nullptr ? "Tandem acts on no such key"
                           : absl::StrCat("it is for the platform ", known->platform)));
      continue;
    }
    if (base.size() == name.size()) continue;
    const absl::string_view kind = absl::string_view(name).substr(base.size());
    if (!known->by_kind) {
      return fail(absl::StrCat("holds for all pools; write it without '", kind, "'"));
    }
    if (kind != "@cpu" && kind != "@gpu") {
      return fail(absl::StrCat("'", kind, "' is no kind of pool; expected @cpu or @gpu"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
