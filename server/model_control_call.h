// RepositoryModelLoad and RepositoryModelUnload. UNIMPLEMENTED where the operator does not allow
// them; else as in model_control.h.
#pragma once

#include "server/model_control.h"
#include "server/unary_responder.h"

namespace tandem::server {

class ModelLoadCall final : public UnaryResponder {
 public:
  // The control outlives the call.
  ModelLoadCall(Call& call, ModelControl& models) : UnaryResponder(call), models_(models) {}

 private:
  void Answer(const grpc::ByteBuffer& request) override;

  ModelControl& models_;
};

class ModelUnloadCall final : public UnaryResponder {
 public:
  // The control outlives the call.
  ModelUnloadCall(Call& call, ModelControl& models) : UnaryResponder(call), models_(models) {}

 private:
  void Answer(const grpc::ByteBuffer& request) override;

  ModelControl& models_;
};

}  // namespace tandem::server
