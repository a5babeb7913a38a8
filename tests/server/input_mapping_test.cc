#include "server/input_mapping.h"

#include <algorithm>
#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

std::vector<Tensor> Tensors(const std::vector<std::string>& names) {
  std::vector<Tensor> tensors;
  for (const std::string& name : names) tensors.emplace_back().name = name;
  return tensors;
}

std::vector<TensorSpec> Signature(const std::vector<std::string>& names) {
  std::vector<TensorSpec> specs;
  for (const std::string& name : names) specs.emplace_back().name = name;
  return specs;
}

std::vector<std::string> Names(const absl::StatusOr<std::vector<Tensor>>& tensors) {
  std::vector<std::string> names;
  if (!tensors.ok()) return {std::string(tensors.status().message())};
  for (const Tensor& tensor : *tensors) names.push_back(tensor.name);
  return names;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("A model takes the shared tensors of its inputs' names and no others", "[mapping]") {
  CHECK(Names(MapInputs(Tensors({"a", "b", "c"}), true, {}, Signature({"c", "a"}))) ==
        Strings{"c", "a"});
}

TEST_CASE("A model with one input takes the only shared tensor, whatever its name", "[mapping]") {
  CHECK(Names(MapInputs(Tensors({"anything"}), true, {}, Signature({"x"}))) == Strings{"x"});
  // With two tensors there is no telling which: none is taken, and the router says what is missing.
  CHECK(Names(MapInputs(Tensors({"one", "two"}), true, {}, Signature({"x"}))).empty());
}

TEST_CASE("Input names lead tensors to inputs, one tensor perhaps to several", "[mapping]") {
  NameMap names;
  names["x"] = "shared";
  names["y"] = "shared";
  CHECK(Names(MapInputs(Tensors({"shared", "z"}), true, names, Signature({"x", "y", "z"}))) ==
        Strings{"x", "y", "z"});
}

TEST_CASE("Where the model's inputs are not known, names rename and all others stay", "[mapping]") {
  NameMap names;
  names["x"] = "shared";
  names["y"] = "shared";
  Strings renamed = Names(MapInputs(Tensors({"z", "shared"}), false, names, {}));
  std::sort(renamed.begin(), renamed.end());
  CHECK(renamed == Strings{"x", "y", "z"});
  names["v"] = "gone";
  CHECK(absl::IsInvalidArgument(MapInputs(Tensors({"shared"}), false, names, {}).status()));
}

TEST_CASE("Own tensors that no input takes are refused by their names", "[mapping]") {
  const auto refusal = [](const Strings& tensors, const Strings& inputs, const NameMap& names) {
    const auto mapped = MapInputs(Tensors(tensors), false, names, Signature(inputs));
    CHECK(absl::IsInvalidArgument(mapped.status()));
    return std::string(mapped.status().message());
  };
  CHECK(refusal({"x", "odd"}, {"x", "y"}, {}) ==
        "the call's own input \"odd\" goes to no input of the model; its inputs are: \"x\", \"y\"");
  // Also where there is but one of each.
  CHECK(refusal({"odd"}, {"x"}, {}).find("\"odd\"") != std::string::npos);
  NameMap names;
  names["x"] = "odd";
  CHECK(refusal({"x", "odd"}, {"x"}, names).find("\"x\" goes") != std::string::npos);
  CHECK(Names(MapInputs(Tensors({"odd"}), false, names, Signature({"x"}))) == Strings{"x"});
}

TEST_CASE("Names for outputs that the model has not are refused", "[mapping]") {
  NameMap names;
  names["x"] = "first";
  CHECK(CheckOutputNames(names, Signature({"x", "y"})).ok());
  const absl::Status refusal = CheckOutputNames(names, Signature({"y", "z"}));
  CHECK(absl::IsInvalidArgument(refusal));
  CHECK(refusal.message() ==
        "output_names: the model has no output \"x\"; its outputs are: \"y\", \"z\"");
  // Nobody knows the outputs of a model that has not been loaded.
  CHECK(CheckOutputNames(names, {}).ok());
  names["x"] = "y";
  CHECK(CheckOutputNames(names, Signature({"x", "y"})).message() ==
        "output_names: the outputs \"x\" and \"y\" would both be named \"y\"; give each a name of "
        "its "
        "own");
  // They change places.
  names["y"] = "x";
  CHECK(CheckOutputNames(names, Signature({"x", "y"})).ok());
}

TEST_CASE("Input names that lead nowhere are refused", "[mapping]") {
  NameMap from_nothing;
  from_nothing["x"] = "nothing";
  CHECK(absl::IsInvalidArgument(
      MapInputs(Tensors({"a"}), true, from_nothing, Signature({"x"})).status()));
  NameMap to_nothing;
  to_nothing["nothing"] = "a";
  CHECK(absl::IsInvalidArgument(
      MapInputs(Tensors({"a"}), true, to_nothing, Signature({"x"})).status()));
}

TEST_CASE("Without a signature all tensors pass, under the names given", "[mapping]") {
  NameMap names;
  names["x"] = "a";
  CHECK(Names(MapInputs(Tensors({"a", "b"}), true, names, {})) == Strings{"x", "b"});
}

}  // namespace tandem::server
