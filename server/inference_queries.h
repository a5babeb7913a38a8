// What the Open Inference Protocol lets a client ask beside inference: one overload for each
// request. Thread-safe. Borrows router and state, which outlive it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "inference.pb.h"
#include "router/router.h"
#include "server/serving_state.h"

namespace tandem::server {

class InferenceQueries {
 public:
  InferenceQueries(const Router& router, const ServingState& state)
      : router_(router), state_(state) {}

  absl::StatusOr<inference::ServerLiveResponse> Answer(const inference::ServerLiveRequest&) const;
  absl::StatusOr<inference::ServerReadyResponse> Answer(const inference::ServerReadyRequest&) const;
  absl::StatusOr<inference::ServerMetadataResponse> Answer(
      const inference::ServerMetadataRequest&) const;

  // A model that is not there is not ready, and no error: clients of the protocol count on it.
  absl::StatusOr<inference::ModelReadyResponse> Answer(
      const inference::ModelReadyRequest& request) const;

  // NOT_FOUND for a model or version that is not there, INVALID_ARGUMENT for what is no version.
  // Metadata is UNAVAILABLE, with the reason, where nothing is known of the model's inputs yet.
  absl::StatusOr<inference::ModelMetadataResponse> Answer(
      const inference::ModelMetadataRequest& request) const;
  absl::StatusOr<inference::ModelStatisticsResponse> Answer(
      const inference::ModelStatisticsRequest& request) const;
  // Also UNAVAILABLE, with the reason, where the model's configuration cannot be read.
  absl::StatusOr<inference::ModelConfigResponse> Answer(
      const inference::ModelConfigRequest& request) const;

  absl::StatusOr<inference::RepositoryIndexResponse> Answer(
      const inference::RepositoryIndexRequest& request) const;

 private:
  // The version that a request names.
  absl::StatusOr<ModelStatus> Find(const std::string& name, const std::string& version) const;

  const Router& router_;
  const ServingState& state_;
};

}  // namespace tandem::server
