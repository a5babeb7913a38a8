// Replies of the server as values: arrays in place of names here and raw bytes there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array.h"
#include "inference.pb.h"
#include "tandem.pb.h"

namespace tandem::client {

struct InferReply {
  std::string model;
  std::string version;
  std::vector<Array> outputs;
};

// How one model of a Predict call fared.
struct ModelReply {
  std::string key;
  std::string model;
  std::string version;
  absl::Status status;
  std::vector<Array> outputs;
  v1::Placement placement;
};

struct PredictReply {
  std::string id;
  std::vector<ModelReply> models;
  std::optional<Array> combined;
  double total_us = 0;
};

// INTERNAL, with what is wrong, for a reply whose shapes and bytes do not agree.
absl::StatusOr<InferReply> DecodeInferResponse(const inference::ModelInferResponse& response);
absl::StatusOr<PredictReply> DecodePredictResponse(const v1::PredictResponse& response);

}  // namespace tandem::client
