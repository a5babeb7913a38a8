// The Open Inference Protocol v2 with Triton's extensions, on gRPC's callback interface.
// Thread-safe: gRPC calls its methods from its own threads. Borrows the router, the clock and the
// state, which outlive the gRPC server.
#pragma once

#include "core/clock.h"
#include "inference.grpc.pb.h"
#include "router/router.h"
#include "server/grpc_call.h"
#include "server/inference_queries.h"
#include "server/model_control.h"
#include "server/serving_state.h"

namespace tandem::server {

// Every method takes and gives bytes as they are on the wire: gRPC would answer bytes that are no
// such message with UNIMPLEMENTED and not a word.
using InferenceProtocol = inference::GRPCInferenceService;
using InferenceServiceBase =
    RawMethods<InferenceProtocol::Service, InferenceProtocol::WithRawCallbackMethod_ServerLive,
               InferenceProtocol::WithRawCallbackMethod_ServerReady,
               InferenceProtocol::WithRawCallbackMethod_ModelReady,
               InferenceProtocol::WithRawCallbackMethod_ServerMetadata,
               InferenceProtocol::WithRawCallbackMethod_ModelMetadata,
               InferenceProtocol::WithRawCallbackMethod_ModelInfer,
               InferenceProtocol::WithRawCallbackMethod_ModelStreamInfer,
               InferenceProtocol::WithRawCallbackMethod_ModelConfig,
               InferenceProtocol::WithRawCallbackMethod_ModelStatistics,
               InferenceProtocol::WithRawCallbackMethod_RepositoryIndex,
               InferenceProtocol::WithRawCallbackMethod_RepositoryModelLoad,
               InferenceProtocol::WithRawCallbackMethod_RepositoryModelUnload>::type;

class InferenceService final : public InferenceServiceBase {
 public:
  InferenceService(const Clock& clock, Router& router, const ServingState& state,
                   ModelControl& models)
      : clock_(clock), router_(router), state_(state), models_(models), queries_(router, state) {}

  using Reactor = grpc::ServerUnaryReactor;
  using Context = grpc::CallbackServerContext;
  using Buffer = grpc::ByteBuffer;

  Reactor* ModelInfer(Context* context, const Buffer* request, Buffer* response) override;
  grpc::ServerBidiReactor<Buffer, Buffer>* ModelStreamInfer(Context* context) override;

  Reactor* ServerLive(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ServerLiveRequest>(context, *request, response);
  }
  Reactor* ServerReady(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ServerReadyRequest>(context, *request, response);
  }
  Reactor* ModelReady(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ModelReadyRequest>(context, *request, response);
  }
  Reactor* ServerMetadata(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ServerMetadataRequest>(context, *request, response);
  }
  Reactor* ModelMetadata(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ModelMetadataRequest>(context, *request, response);
  }
  Reactor* ModelConfig(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ModelConfigRequest>(context, *request, response);
  }
  Reactor* ModelStatistics(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::ModelStatisticsRequest>(context, *request, response);
  }
  Reactor* RepositoryIndex(Context* context, const Buffer* request, Buffer* response) override {
    return Ask<inference::RepositoryIndexRequest>(context, *request, response);
  }
  // UNIMPLEMENTED where the operator does not allow them; else as in model_control.h.
  Reactor* RepositoryModelLoad(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* RepositoryModelUnload(Context* context, const Buffer* request,
                                 Buffer* response) override;

 private:
  template <typename Request>
  Reactor* Ask(Context* context, const Buffer& request, Buffer* response) const {
    return AnswerUnary<Request>(context, request, response, [this](const Request& message) {
      return queries_.Answer(message);
    });
  }

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  ModelControl& models_;
  const InferenceQueries queries_;
};

}  // namespace tandem::server
