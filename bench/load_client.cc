// bench-client: a closed loop of ModelInfer. Each client has a channel of its own and sends the
// next request when the last one is answered. The request is serialised once; replies are not
// parsed, so that little of the machine goes to the client. Prints one line of JSON.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bench/latencies.h"
#include "inference.pb.h"

namespace tandem::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kMethod[] = "/inference.GRPCInferenceService/ModelInfer";

struct Load {
  std::string address;
  std::string model;
  std::string input = "INPUT0";
  std::vector<int64_t> shape = {1, 4};
  int clients = 1;
  double seconds = 5;
  double warm_up_seconds = 1;
};

struct Outcome {
  Latencies latencies;
  uint64_t failures = 0;
  std::string first_failure;
};

// A request with one FP32 tensor, as bytes that all calls share.
grpc::ByteBuffer MakeRequest(const Load& load) {
  inference::ModelInferRequest request;
  request.set_model_name(load.model);
  inference::ModelInferRequest::InferInputTensor& input = *request.add_inputs();
  input.set_name(load.input);
  input.set_datatype("FP32");
  size_t elements = 1;
  for (const int64_t dimension : load.shape) {
    input.add_shape(dimension);
    elements *= static_cast<size_t>(dimension);
  }
  const std::vector<float> values(elements, 0.5F);
  request.add_raw_input_contents(values.data(), elements * sizeof(float));
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

class Client {
 public:
  Client(const Load& load, int number) : stub_(MakeChannel(load, number)) {}

  // Calls until `end`; what started before `begin` is not counted.
  Outcome Run(const grpc::ByteBuffer& request, SteadyClock::time_point begin,
              SteadyClock::time_point end) {
    Outcome outcome;
    while (true) {
      const SteadyClock::time_point start = SteadyClock::now();
      if (start >= end) return outcome;
      const grpc::Status status = Call(request);
      const SteadyClock::time_point finish = SteadyClock::now();
      if (!status.ok()) {
        if (outcome.failures++ == 0) outcome.first_failure = status.error_message();
      } else if (start >= begin && finish <= end) {
        outcome.latencies.Add(finish - start);
      }
    }
  }

 private:
  static std::shared_ptr<grpc::Channel> MakeChannel(const Load& load, int number) {
    grpc::ChannelArguments arguments;
    // Distinct arguments: channels that are equal would share one connection.
    arguments.SetInt("tandem.bench.client", number);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(load.address, grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status Call(const grpc::ByteBuffer& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    grpc::ByteBuffer reply;
    grpc::Status status;
    const auto call = stub_.PrepareUnaryCall(&context, kMethod, request, &queue_);
    call->StartCall();
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    return status;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
};

Outcome RunAll(const Load& load) {
  const grpc::ByteBuffer request = MakeRequest(load);
  const auto as_duration = [](double seconds) {
    return std::chrono::duration_cast<SteadyClock::duration>(
        std::chrono::duration<double>(seconds));
  };
  const SteadyClock::time_point begin = SteadyClock::now() + as_duration(load.warm_up_seconds);
  const SteadyClock::time_point end = begin + as_duration(load.seconds);
  std::vector<Outcome> outcomes(static_cast<size_t>(load.clients));
  std::vector<std::thread> threads;
  for (int number = 0; number < load.clients; ++number) {
    threads.emplace_back([&, number] {
      outcomes[static_cast<size_t>(number)] = Client(load, number).Run(request, begin, end);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Outcome all;
  for (const Outcome& outcome : outcomes) {
    all.latencies.Merge(outcome.latencies);
    all.failures += outcome.failures;
    if (all.first_failure.empty()) all.first_failure = outcome.first_failure;
  }
  return all;
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  CLI::App app("A closed loop of ModelInfer; prints rate and latencies as JSON.");
  tandem::bench::Load load;
  app.add_option("--address", load.address, "HOST:PORT of the server")->required();
  app.add_option("--model", load.model, "Model to call")->required();
  app.add_option("--input", load.input, "Name of its input");
  app.add_option("--shape", load.shape, "Shape of its FP32 input, as in 1,3,224,224")
      ->delimiter(',');
  app.add_option("--clients", load.clients, "Calls at a time")->check(CLI::Range(1, 1024));
  app.add_option("--seconds", load.seconds, "Time that is measured");
  app.add_option("--warm-up", load.warm_up_seconds, "Time before that");
  CLI11_PARSE(app, argc, argv);

  tandem::bench::Outcome outcome = tandem::bench::RunAll(load);
  const double calls = static_cast<double>(outcome.latencies.count());
  const nlohmann::json report = {
      {"clients", load.clients},
      {"calls", outcome.latencies.count()},
      {"failures", outcome.failures},
      {"first_failure", outcome.first_failure},
      {"calls_per_second", calls / load.seconds},
      {"p50_us", outcome.latencies.QuantileMicros(0.5)},
      {"p99_us", outcome.latencies.QuantileMicros(0.99)},
  };
  std::cout << report.dump() << "\n";
  return outcome.failures == 0 && calls > 0 ? 0 : 1;
}
