// bench-echo-server: what gRPC and Protobuf alone cost. Answers every ModelInfer with its own
// inputs, in the callback that brings them: no queue, no other process, no model.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "inference.grpc.pb.h"

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

class EchoService final : public inference::GRPCInferenceService::CallbackService {
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
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Echoes ModelInfer: the bare cost of the protocol.");
  std::string address = "127.0.0.1:0";
  app.add_option("--address", address, "Address and port to listen on; its port is printed");
  CLI11_PARSE(app, argc, argv);

  // Before gRPC starts its threads, so that they inherit it and the signal waits for sigwait below.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  EchoService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&service);
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
