#include "server/input_mapping.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "router/quoted.h"

namespace tandem::server {
namespace {

// Places of the tensors by their names: a request may hold many, and name each of them often.
using PlaceByName = absl::flat_hash_map<absl::string_view, size_t>;

PlaceByName PlacesOf(absl::Span<const Tensor> tensors) {
  PlaceByName places;
  for (size_t i = 0; i < tensors.size(); ++i) places.emplace(tensors[i].name, i);
  return places;
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

absl::Status CheckNames(const PlaceByName& places, const NameMap& names,
                        absl::Span<const TensorSpec> signature) {
  for (const auto& [input, tensor] : names) {
    if (!signature.empty() && !Holds(signature, input)) {
      return absl::InvalidArgumentError(
          absl::StrCat("input_names: the model has no input '", input, "'"));
    }
    if (!places.contains(tensor)) {
      return absl::InvalidArgumentError(absl::StrCat("input_names: the request has no tensor '",
                                                     tensor, "' for the input '", input, "'"));
    }
  }
  return absl::OkStatus();
}

// Without a signature: each tensor under the name of the input that it is meant for.
std::vector<Tensor> Rename(absl::Span<const Tensor> tensors, const PlaceByName& places,
                           const NameMap& names) {
  std::vector<Tensor> renamed;
  std::vector<bool> is_mapped(tensors.size(), false);
  for (const auto& [input, tensor] : names) {
    const size_t place = places.at(tensor);
    is_mapped[place] = true;
    renamed.push_back(tensors[place]);
    renamed.back().name = input;
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!is_mapped[i]) renamed.push_back(tensors[i]);
  }
  return renamed;
}

}  // namespace

absl::StatusOr<std::vector<Tensor>> MapInputs(absl::Span<const Tensor> tensors, bool shared,
                                              const NameMap& names,
                                              absl::Span<const TensorSpec> signature) {
  const PlaceByName places = PlacesOf(tensors);
  const absl::Status checked = CheckNames(places, names, signature);
  if (!checked.ok()) return checked;
  if (signature.empty()) return Rename(tensors, places, names);
  std::vector<Tensor> mapped;
  std::vector<bool> taken(tensors.size(), false);
  for (const TensorSpec& spec : signature) {
    const auto given = names.find(spec.name);
    const auto place = places.find(given != names.end() ? given->second : spec.name);
    const bool takes_any = shared && signature.size() == 1 && tensors.size() == 1;
    // What is missing is for the router to say.
    if (place == places.end() && !takes_any) continue;
    const size_t index = place == places.end() ? 0 : place->second;
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
