#include "server/reflection_service.h"

#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>

#include "health.pb.h"
#include "reflection.pb.h"
#include "server/health_service.h"
#include "tandem.pb.h"
#include "tests/server/grpc_client.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

// The server with health and reflection, and one stream of questions to it.
class Questions {
 public:
  ServerReflectionResponse Ask(const ServerReflectionRequest& request) {
    REQUIRE(call_.Write(request.SerializeAsString()));
    ServerReflectionResponse response;
    const std::optional<std::string> message = call_.Read();
    REQUIRE(message.has_value());
    REQUIRE(response.ParseFromString(*message));
    CHECK(response.original_request().SerializeAsString() == request.SerializeAsString());
    return response;
  }

  grpc::Status End() {
    call_.WriteEnd();
    CHECK(!call_.Read().has_value());
    return call_.Finish();
  }

 private:
  Call::Methods Methods() {
    Call::Methods methods;
    health_.AddTo(methods);
    reflection_.AddTo(methods);
    return methods;
  }

  HealthService health_;
  ReflectionService reflection_;
  TestServer server_{Methods()};
  ClientCall call_{server_.Connect(),
                   "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
};

// Names of the files in the answer.
std::set<std::string> Files(const ServerReflectionResponse& response) {
  std::set<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    REQUIRE(file.ParseFromString(bytes));
    names.insert(file.name());
  }
  return names;
}

}  // namespace

TEST_CASE("Reflection lists the services that are served", "[reflection_service]") {
  Questions questions;
  ServerReflectionRequest request;
  request.set_list_services("");
  std::set<std::string> names;
  const ServerReflectionResponse answer = questions.Ask(request);
  for (const auto& service : answer.list_services_response().service()) {
    names.insert(service.name());
  }
  CHECK(names ==
        std::set<std::string>{"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"});
  CHECK(questions.End().ok());
}

TEST_CASE("A symbol's file comes with what it needs, once in a stream", "[reflection_service]") {
  // So that the file is linked.
  CHECK(v1::PredictRequest::descriptor() != nullptr);
  Questions questions;
  ServerReflectionRequest request;
  request.set_file_containing_symbol("tandem.v1.PredictionService");
  const std::set<std::string> files = Files(questions.Ask(request));
  CHECK(files.count("tandem.proto") == 1);
  CHECK(files.count("inference.proto") == 1);
  request.set_file_by_filename("tandem.proto");
  CHECK(Files(questions.Ask(request)) == std::set<std::string>{"tandem.proto"});
  CHECK(questions.End().ok());
}

TEST_CASE("What is not there is said so, and the stream goes on", "[reflection_service]") {
  Questions questions;
  ServerReflectionRequest request;
  request.set_file_containing_symbol("no.such.Service");
  CHECK(questions.Ask(request).error_response().error_code() == grpc::StatusCode::NOT_FOUND);
  request.set_file_by_filename("no.proto");
  CHECK(questions.Ask(request).error_response().error_code() == grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type("no.Type");
  CHECK(questions.Ask(request).error_response().error_code() == grpc::StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("grpc.health.v1.HealthCheckRequest");
  const ServerReflectionResponse numbers = questions.Ask(request);
  CHECK(numbers.all_extension_numbers_response().base_type_name() ==
        "grpc.health.v1.HealthCheckRequest");
  CHECK(numbers.all_extension_numbers_response().extension_number().empty());
  request.clear_message_request();
  CHECK(questions.Ask(request).error_response().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(questions.End().ok());
}

}  // namespace tandem::server
