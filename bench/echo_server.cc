// bench-echo-server: what gRPC alone costs, with or without Protobuf. Answers every ModelInfer with
// its own inputs, in the callback that brings them: no queue, no other process, no model.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "inference.grpc.pb.h"

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

// The one model: FP32 rows of so many elements. Any name is its name.
class EchoModel : public inference::GRPCInferenceService::CallbackService {
 public:
  // Before the server starts.
  void set_elements(int64_t elements) { elements_ = elements; }

  grpc::ServerUnaryReactor* ModelMetadata(grpc::CallbackServerContext* context,
                                          const inference::ModelMetadataRequest* request,
                                          inference::ModelMetadataResponse* response) override {
    response->set_name(request->name());
    inference::ModelMetadataResponse::TensorMetadata& input = *response->add_inputs();
    input.set_name("INPUT0");
    input.set_datatype("FP32");
    input.add_shape(-1);
    input.add_shape(elements_);
    return Finish(context);
  }

  // perf_analyzer asks for this and the next, and for statistics, before it sends any load.
  grpc::ServerUnaryReactor* ServerMetadata(grpc::CallbackServerContext* context,
                                           const inference::ServerMetadataRequest* /*request*/,
                                           inference::ServerMetadataResponse* response) override {
    response->set_name("echo");
    return Finish(context);
  }

  grpc::ServerUnaryReactor* ModelConfig(grpc::CallbackServerContext* context,
                                        const inference::ModelConfigRequest* request,
                                        inference::ModelConfigResponse* response) override {
    response->mutable_config()->set_name(request->name());
    response->mutable_config()->set_max_batch_size(1);
    return Finish(context);
  }

 protected:
  static grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  int64_t elements_ = 4;
};

class EchoService final : public EchoModel {
 public:
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const ModelInferRequest* request,
                                       ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    response->set_model_version("1");
    response->set_id(request->id());
    for (const ModelInferRequest::InferInputTensor& input : request->inputs()) {
      ModelInferResponse::InferOutputTensor& output = *response->add_outputs();
      output.set_name("OUTPUT0");
      output.set_datatype(input.datatype());
      *output.mutable_shape() = input.shape();
    }
    *response->mutable_raw_output_contents() = request->raw_input_contents();
    return Finish(context);
  }
};

// Gives back the request's bytes as they came. They are no reply of the protocol: this is what
// moving the bytes costs, for clients that do not look at them.
class RawEchoService final
    : public inference::GRPCInferenceService::WithRawCallbackMethod_ModelInfer<EchoModel> {
 public:
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override {
    *response = *request;
    return Finish(context);
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Echoes ModelInfer: the bare cost of the protocol.");
  std::string address = "127.0.0.1:0";
  app.add_option("--address", address, "Address and port to listen on; its port is printed");
  int64_t elements = 4;
  app.add_option("--elements", elements, "Elements of a row")->check(CLI::PositiveNumber);
  bool raw = false;
  app.add_flag("--raw", raw, "Give back the request's bytes without looking at them");
  CLI11_PARSE(app, argc, argv);

  // As the server does, which is held against this one.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Before gRPC starts its threads, so that they inherit it and the signal waits for sigwait below.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  EchoService parsing;
  RawEchoService unparsed;
  parsing.set_elements(elements);
  unparsed.set_elements(elements);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(raw ? static_cast<grpc::Service*>(&unparsed) : &parsing);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "bench-echo-server: cannot listen on " << address << "\n";
    return 1;
  }
  std::cout << port << std::endl;
  int number = 0;
  sigwait(&ending, &number);
  server->Shutdown();
  return 0;
}
