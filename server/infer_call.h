// One ModelInfer call: from the client's bytes to the router and back. Lives from its making until
// gRPC is done with the call, and deletes itself then.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/infer_request.h"
#include "router/router.h"

namespace tandem::server {

class InferCall : public grpc::ServerUnaryReactor {
 public:
  // Decodes the request and submits it. `response` is filled before the call finishes; gRPC keeps
  // it.
  static InferCall* Start(const Clock& clock, Router& router, grpc::CallbackServerContext& context,
                          const grpc::ByteBuffer& request, grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override;

 private:
  InferCall(grpc::CallbackServerContext& context, grpc::ByteBuffer* response)
      : context_(context), response_(response) {}
  void Answer(const InferResponse& response);

  // gRPC's, as the response is.
  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer* const response_;
  std::string id_;
  bool wants_placement_ = false;
  // Shared with the router, which may look at it after the call has ended.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace tandem::server
