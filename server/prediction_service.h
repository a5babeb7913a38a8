// tandem.v1.PredictionService on gRPC's callback interface. Thread-safe: gRPC calls its methods
// from its own threads. Borrows the router, the clock and the state, which outlive the gRPC server.
#pragma once

#include "core/clock.h"
#include "router/router.h"
#include "server/grpc_call.h"
#include "server/pool_report.h"
#include "server/predict_decoder.h"
#include "server/serving_state.h"
#include "tandem.grpc.pb.h"

namespace tandem::server {

// Every method takes and gives bytes as they are on the wire.
using PredictionServiceBase =
    RawMethods<v1::PredictionService::Service, v1::PredictionService::WithRawCallbackMethod_Predict,
               v1::PredictionService::WithRawCallbackMethod_PredictStream,
               v1::PredictionService::WithRawCallbackMethod_ServerStatus,
               v1::PredictionService::WithRawCallbackMethod_ClearQuarantine>::type;

class PredictionService final : public PredictionServiceBase {
 public:
  PredictionService(const Clock& clock, Router& router, const ServingState& state,
                    PoolReporter pools)
      : clock_(clock),
        router_(router),
        state_(state),
        pools_(std::move(pools)),
        started_(clock.Now()) {}

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* PredictStream(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* ServerStatus(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ClearQuarantine(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;

 private:
  // Decodes the request and runs it in the call, a PredictCall or a PredictStreamCall.
  template <typename Call>
  Call* Run(const grpc::CallbackServerContext& context, const grpc::ByteBuffer& request,
            Call* call);
  v1::ServerStatusResponse Status() const;
  // When the whole call must be answered.
  TimePoint Deadline(const grpc::CallbackServerContext& context, const DecodedPredict& request,
                     TimePoint arrival) const;

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  const PoolReporter pools_;
  const TimePoint started_;
};

}  // namespace tandem::server
