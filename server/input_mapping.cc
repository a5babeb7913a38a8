#include "server/input_mapping.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

// Index of the tensor with that name; the count where there is none.
size_t FindTensor(absl::Span<const Tensor> tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return static_cast<size_t>(found - tensors.begin());
}

bool Holds(absl::Span<const TensorSpec> signature, const std::string& name) {
  return std::any_of(signature.begin(), signature.end(),
                     [&](const TensorSpec& spec) { return spec.name == name; });
}

std::string SpecNames(absl::Span<const TensorSpec> signature) {
  return absl::StrJoin(signature, ", ", [](std::string* out, const TensorSpec& spec) {
    absl::StrAppend(out, "\"", spec.name, "\"");
  });
}

absl::Status CheckNames(absl::Span<const Tensor> tensors, const NameMap& names,
                        absl::Span<const TensorSpec> signature) {
  for (const auto& [input, tensor] : names) {
    if (!signature.empty() && !Holds(signature, input)) {
      return absl::InvalidArgumentError(
          absl::StrCat("input_names: the model has no input '", input, "'"));
    }
    if (FindTensor(tensors, tensor) == tensors.size()) {
      return absl::InvalidArgumentError(absl::StrCat("input_names: the request has no tensor '",
                                                     tensor, "' for the input '", input, "'"));
    }
  }
  return absl::OkStatus();
}

// Without a signature: each tensor under the name of the input that it is meant for.
std::vector<Tensor> Rename(absl::Span<const Tensor> tensors, const NameMap& names) {
  std::vector<Tensor> renamed;
  for (const Tensor& tensor : tensors) {
    bool mapped = false;
    for (const auto& [input, source] : names) {
      if (source != tensor.name) continue;
      renamed.push_back(tensor);
      renamed.back().name = input;
      mapped = true;
    }
    if (!mapped) renamed.push_back(tensor);
  }
  return renamed;
}

}  // namespace

absl::StatusOr<std::vector<Tensor>> MapInputs(absl::Span<const Tensor> tensors, bool shared,
                                              const NameMap& names,
                                              absl::Span<const TensorSpec> signature) {
  const absl::Status checked = CheckNames(tensors, names, signature);
  if (!checked.ok()) return checked;
  if (signature.empty()) return Rename(tensors, names);
  std::vector<Tensor> mapped;
  std::vector<bool> taken(tensors.size(), false);
  for (const TensorSpec& spec : signature) {
    const auto given = names.find(spec.name);
    size_t index = FindTensor(tensors, given != names.end() ? given->second : spec.name);
    const bool takes_any = shared && signature.size() == 1 && tensors.size() == 1;
    if (index == tensors.size() && takes_any) index = 0;
    // What is missing is for the router to say.
    if (index == tensors.size()) continue;
    taken[index] = true;
    mapped.push_back(tensors[index]);
    mapped.back().name = spec.name;
  }
  if (shared) return mapped;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (taken[i]) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the call's own input ", Quoted(tensors[i].name),
                     " goes to no input of the model; its inputs are: ", SpecNames(signature)));
  }
  return mapped;
}

absl::Status CheckOutputNames(const NameMap& names, absl::Span<const TensorSpec> signature) {
  if (signature.empty()) return absl::OkStatus();
  for (const auto& [output, name] : names) {
    if (Holds(signature, output)) continue;
    return absl::InvalidArgumentError(absl::StrCat("output_names: the model has no output ",
                                                   Quoted(output),
                                                   "; its outputs are: ", SpecNames(signature)));
  }
  std::map<std::string_view, std::string> outputs_by_name;
  for (const TensorSpec& spec : signature) {
    const auto renamed = names.find(spec.name);
    const std::string& name = renamed == names.end() ? spec.name : renamed->second;
    const auto [place, is_new] = outputs_by_name.emplace(name, spec.name);
    if (is_new) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "output_names: the outputs ", Quoted(place->second), " and ", Quoted(spec.name),
        " would both be named ", Quoted(name), "; give each a name of its own"));
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
