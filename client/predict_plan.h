// Which models a Predict call names, and how rows of arrays become its request.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/array.h"
#include "client/signature.h"
#include "tandem.pb.h"

namespace tandem::client {

// The parts of a Predict call that do not change from row to row.
struct PredictTemplate {
  // "NAME" or "NAME:VERSION".
  std::vector<std::string> cpu_models;
  std::vector<std::string> gpu_models;
  std::vector<std::string> models;
  // "all" or "partial".
  std::string merge_policy = "all";
  // "", "mean", "weighted_mean" or "majority_vote".
  std::string combine;
  // "KEY", "KEY:OUTPUT" or "KEY:OUTPUT:WEIGHT". Empty: the first output of every model.
  std::vector<std::string> combine_outputs;
};

// The request without inputs. INVALID_ARGUMENT for words that are none of the above.
absl::StatusOr<v1::PredictRequest> MakeRequest(const PredictTemplate& words);

// Turns rows into requests. Immutable once made, hence thread-safe.
class PredictPlan {
 public:
  // One row of a data set: its named arrays. All rows of one request have the same names.
  using RowInputs = std::vector<Array>;

  // `request` as MakeRequest gave it; `signatures` of its models, in the order cpu, gpu, any. At
  // least one is known; what the others are sent are the request's inputs.
  // `constants` go to every model that has an input of their name, once a request and as they are.
  // `batch_by_default`: rows get a batch dimension also for models that do not say their shapes.
  PredictPlan(v1::PredictRequest request, std::vector<Signature> signatures,
              std::vector<Array> constants, bool batch_by_default);

  // One request for rows that may run together (see CanJoin). INVALID_ARGUMENT, as a sentence,
  // where they do not fit a model.
  absl::StatusOr<v1::PredictRequest> Build(absl::Span<const RowInputs> rows) const;

  // True if both rows have equal shapes and types, and every model takes them behind a batch
  // dimension.
  bool CanJoin(const RowInputs& first, const RowInputs& second) const;

  // The names of the calls, in the order of the reply.
  std::vector<std::string> Keys() const;

 private:
  // One input of one model: which array of the row goes there, and as what.
  struct Feed {
    // Index in the row, or row.size() + index of a constant.
    size_t source = 0;
    // Empty where the model has one input, which takes any name.
    std::string name;
    DataType type = DataType::kInvalid;
    Fit fit = Fit::kAsIs;
    Shape shape;

    friend bool operator==(const Feed&, const Feed&) = default;
  };

  absl::StatusOr<std::vector<Feed>> Feeds(const Signature& signature, const RowInputs& row) const;
  absl::StatusOr<Array> Gather(const Feed& feed, absl::Span<const RowInputs> rows) const;

  const v1::PredictRequest request_;
  const std::vector<Signature> signatures_;
  const std::vector<Array> constants_;
  const bool batch_by_default_;
};

}  // namespace tandem::client
