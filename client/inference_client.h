// A connection to a Tandem server (or, but for Predict and ServerStatus, to any server of the Open
// Inference Protocol v2). Thread-safe. Calls that are under way when it is destroyed must have
// ended before.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array.h"
#include "client/reply.h"
#include "inference.pb.h"
#include "tandem.pb.h"

namespace tandem::client {

struct ClientOptions {
  // Host and port of the server's gRPC.
  std::string target = "127.0.0.1:8001";
  // Each call's deadline. 0: none.
  std::chrono::milliseconds timeout{30000};
};

struct InferCall {
  std::string model;
  // Empty: the latest that is served.
  std::string version;
  std::vector<Array> inputs;
  // Names of the outputs to return. Empty: all.
  std::vector<std::string> outputs;
};

// The call as the protocol's message.
inference::ModelInferRequest MakeInferRequest(const InferCall& call);

// Statuses are the server's own. UNAVAILABLE with is_connected() false: the server was not reached.
class InferenceClient {
 public:
  using PredictCallback = absl::AnyInvocable<void(absl::StatusOr<v1::PredictResponse>) &&>;

  explicit InferenceClient(ClientOptions options);
  ~InferenceClient();
  InferenceClient(const InferenceClient&) = delete;
  InferenceClient& operator=(const InferenceClient&) = delete;

  absl::StatusOr<InferReply> Infer(const InferCall& call);
  absl::StatusOr<v1::PredictResponse> Predict(const v1::PredictRequest& request);
  // Returns at once; `done` is called once, on a thread of gRPC's, and must not block.
  void PredictAsync(v1::PredictRequest request, PredictCallback done);

  absl::StatusOr<bool> ServerLive();
  absl::StatusOr<bool> ServerReady();
  absl::StatusOr<bool> ModelReady(const std::string& model, const std::string& version = "");
  absl::StatusOr<inference::ServerMetadataResponse> ServerMetadata();
  absl::StatusOr<inference::ModelMetadataResponse> ModelMetadata(const std::string& model,
                                                                 const std::string& version = "");
  absl::StatusOr<inference::ModelConfig> ModelConfig(const std::string& model,
                                                     const std::string& version = "");
  absl::StatusOr<inference::RepositoryIndexResponse> Models();
  absl::StatusOr<v1::ServerStatusResponse> ServerStatus();
  absl::StatusOr<v1::ClearQuarantineResponse> ClearQuarantine();

  const std::string& target() const { return options_.target; }
  bool is_connected() const;

 private:
  class Connection;

  const ClientOptions options_;
  const std::unique_ptr<Connection> connection_;
};

}  // namespace tandem::client
