#include "client/inference_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "inference.grpc.pb.h"
#include "tandem.grpc.pb.h"

namespace tandem::client {
namespace {

using inference::GRPCInferenceService;
using v1::PredictionService;

absl::Status ToStatus(const grpc::Status& status) {
  // Both number their codes as google.rpc.Code does.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  // The server states how large its messages may be; what it sends, the client takes.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

void SetDeadline(grpc::ClientContext& context, std::chrono::milliseconds timeout) {
  if (timeout.count() > 0) context.set_deadline(std::chrono::system_clock::now() + timeout);
}

// What one asynchronous call needs until it ends.
struct PendingPredict {
  grpc::ClientContext context;
  v1::PredictRequest request;
  v1::PredictResponse response;
  InferenceClient::PredictCallback done;
};

}  // namespace

inference::ModelInferRequest MakeInferRequest(const InferCall& call) {
  inference::ModelInferRequest request;
  request.set_model_name(call.model);
  request.set_model_version(call.version);
  for (const Array& input : call.inputs) {
    inference::ModelInferRequest::InferInputTensor* tensor = request.add_inputs();
    tensor->set_name(input.name);
    tensor->set_datatype(TypeText(input.type));
    tensor->mutable_shape()->Assign(input.shape.begin(), input.shape.end());
    request.add_raw_input_contents(input.bytes);
  }
  for (const std::string& output : call.outputs) request.add_outputs()->set_name(output);
  return request;
}

class InferenceClient::Connection {
 public:
  explicit Connection(const ClientOptions& options)
      : timeout(options.timeout),
        channel(Connect(options.target)),
        inference(GRPCInferenceService::NewStub(channel)),
        prediction(PredictionService::NewStub(channel)) {}

  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(grpc::Status (GRPCInferenceService::Stub::*method)(
                                   grpc::ClientContext*, const Request&, Response*),
                               const Request& request) {
    return Ask(*inference, method, request);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(grpc::Status (PredictionService::Stub::*method)(grpc::ClientContext*,
                                                                               const Request&,
                                                                               Response*),
                               const Request& request) {
    return Ask(*prediction, method, request);
  }

  // For each call. 0: none.
  const std::chrono::milliseconds timeout;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<GRPCInferenceService::Stub> inference;
  const std::unique_ptr<PredictionService::Stub> prediction;

 private:
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Ask(Stub& stub,
                               grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                               const Request& request) {
    grpc::ClientContext context;
    SetDeadline(context, timeout);
    Response response;
    const absl::Status status = ToStatus((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
};

// A request that names a model and nothing else.
template <typename Request>
Request Named(const std::string& model, const std::string& version) {
  Request request;
  request.set_name(model);
  request.set_version(version);
  return request;
}

InferenceClient::InferenceClient(ClientOptions options)
    : options_(std::move(options)), connection_(std::make_unique<Connection>(options_)) {}

InferenceClient::~InferenceClient() = default;

bool InferenceClient::is_connected() const {
  return connection_->channel->GetState(false) == GRPC_CHANNEL_READY;
}

absl::StatusOr<InferReply> InferenceClient::Infer(const InferCall& call) {
  const absl::StatusOr<inference::ModelInferResponse> response =
      connection_->Ask(&GRPCInferenceService::Stub::ModelInfer, MakeInferRequest(call));
  if (!response.ok()) return response.status();
  return DecodeInferResponse(*response);
}

absl::StatusOr<v1::PredictResponse> InferenceClient::Predict(const v1::PredictRequest& request) {
  return connection_->Ask(&PredictionService::Stub::Predict, request);
}

void InferenceClient::PredictAsync(v1::PredictRequest request, PredictCallback done) {
  auto pending = std::make_unique<PendingPredict>();
  SetDeadline(pending->context, connection_->timeout);
  pending->request = std::move(request);
  pending->done = std::move(done);
  PendingPredict* const call = pending.release();
  connection_->prediction->async()->Predict(&call->context, &call->request, &call->response,
                                            [call](grpc::Status status) {
                                              const std::unique_ptr<PendingPredict> owned(call);
                                              if (status.ok()) {
                                                std::move(owned->done)(std::move(owned->response));
                                              } else {
                                                std::move(owned->done)(ToStatus(status));
                                              }
                                            });
}

absl::StatusOr<bool> InferenceClient::ServerLive() {
  const absl::StatusOr<inference::ServerLiveResponse> response =
      connection_->Ask(&GRPCInferenceService::Stub::ServerLive, {});
  if (!response.ok()) return response.status();
  return response->live();
}

absl::StatusOr<bool> InferenceClient::ServerReady() {
  const absl::StatusOr<inference::ServerReadyResponse> response =
      connection_->Ask(&GRPCInferenceService::Stub::ServerReady, {});
  if (!response.ok()) return response.status();
  return response->ready();
}

absl::StatusOr<bool> InferenceClient::ModelReady(const std::string& model,
                                                 const std::string& version) {
  const absl::StatusOr<inference::ModelReadyResponse> response = connection_->Ask(
      &GRPCInferenceService::Stub::ModelReady, Named<inference::ModelReadyRequest>(model, version));
  if (!response.ok()) return response.status();
  return response->ready();
}

absl::StatusOr<inference::ServerMetadataResponse> InferenceClient::ServerMetadata() {
  return connection_->Ask(&GRPCInferenceService::Stub::ServerMetadata, {});
}

absl::StatusOr<inference::ModelMetadataResponse> InferenceClient::ModelMetadata(
    const std::string& model, const std::string& version) {
  return connection_->Ask(&GRPCInferenceService::Stub::ModelMetadata,
                          Named<inference::ModelMetadataRequest>(model, version));
}

absl::StatusOr<inference::ModelConfig> InferenceClient::ModelConfig(const std::string& model,
                                                                    const std::string& version) {
  const absl::StatusOr<inference::ModelConfigResponse> response =
      connection_->Ask(&GRPCInferenceService::Stub::ModelConfig,
                       Named<inference::ModelConfigRequest>(model, version));
  if (!response.ok()) return response.status();
  return response->config();
}

absl::StatusOr<inference::RepositoryIndexResponse> InferenceClient::Models() {
  return connection_->Ask(&GRPCInferenceService::Stub::RepositoryIndex, {});
}

absl::StatusOr<v1::ServerStatusResponse> InferenceClient::ServerStatus() {
  return connection_->Ask(&PredictionService::Stub::ServerStatus, {});
}

absl::StatusOr<v1::ClearQuarantineResponse> InferenceClient::ClearQuarantine() {
  return connection_->Ask(&PredictionService::Stub::ClearQuarantine, {});
}

}  // namespace tandem::client
