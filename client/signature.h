// What a model takes, as the server declares it, and how the client's arrays are made to fit.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/array.h"
#include "client/inference_client.h"
#include "core/tensor.h"

namespace tandem::client {

struct Signature {
  std::string model;
  // dims as the server shows them, the batch dimension included; any_shape where it shows none.
  std::vector<TensorSpec> inputs;
  // False where the server did not tell what the model takes: then `inputs` is empty.
  bool known = true;

  // The input of that name; the only one for an empty name or where the model has but one and
  // `lone` is true. Null where there is none.
  const TensorSpec* Find(const std::string& name, bool lone) const;
};

// Asks the server.
absl::StatusOr<Signature> FetchSignature(InferenceClient& client, const std::string& model,
                                         const std::string& version);

// How an array's shape becomes what an input asks for.
enum class Fit {
  // It is sent as it is.
  kAsIs,
  // A batch dimension of 1 (or of the number of rows) is put before its own.
  kAddBatch,
  // It is flat and the input's dimensions are all known and count as many elements: they replace
  // its own, behind a
  // batch dimension where the input has one.
  kReshape,
};

// The fit for an array of `shape`. Where the input does not say its shape: kAddBatch if
// `batch_by_default`.
Fit FitOf(const Shape& shape, const TensorSpec& input, bool batch_by_default);

// The shape for one array: `fit` applied with a batch of 1.
Shape FittedShape(const Shape& shape, const TensorSpec& input, Fit fit);

// The inputs for one request to the model: each found by its name, converted to the declared type,
// fitted. INVALID_ARGUMENT where a name is not the model's, or a value does not fit its type.
absl::StatusOr<std::vector<Array>> FitInputs(const Signature& signature, std::vector<Array> inputs);

// The type that an array from a file or from text is sent as.
DataType SentType(const Array& array, const TensorSpec& input);

}  // namespace tandem::client
