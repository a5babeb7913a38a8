#include "server/health_service.h"

#include <string>

#include "tests/server/grpc_client.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

std::string Request(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request.SerializeAsString();
}

HealthService::Status StatusIn(const std::optional<std::string>& message) {
  HealthCheckResponse response;
  REQUIRE(message.has_value());
  REQUIRE(response.ParseFromString(*message));
  return response.status();
}

// The service, served.
struct ServedHealth {
  HealthService health;
  TestServer server{[this] {
    Call::Methods methods;
    health.AddTo(methods);
    return methods;
  }()};
};

}  // namespace

TEST_CASE("A check tells the present status, and knows no names but those that were set",
          "[health_service]") {
  ServedHealth served;
  const auto channel = served.server.Connect();
  served.health.SetServing("", true);
  served.health.SetServing("down", false);
  CHECK(StatusIn(AskOnce(channel, kCheck, Request("")).message) == HealthCheckResponse::SERVING);
  CHECK(StatusIn(AskOnce(channel, kCheck, Request("down")).message) ==
        HealthCheckResponse::NOT_SERVING);
  CHECK(AskOnce(channel, kCheck, Request("nobody")).status.error_code() ==
        grpc::StatusCode::NOT_FOUND);
  CHECK(AskOnce(channel, kCheck, Request(std::string(2000, 'x'))).status.error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("A watch tells the status at first, and each change of it", "[health_service]") {
  ServedHealth served;
  ClientCall watch(served.server.Connect(), kWatch);
  watch.Write(Request("model"));
  CHECK(StatusIn(watch.Read()) == HealthCheckResponse::SERVICE_UNKNOWN);
  served.health.SetServing("other", true);
  served.health.SetServing("model", true);
  CHECK(StatusIn(watch.Read()) == HealthCheckResponse::SERVING);
  served.health.SetServing("model", true);
  served.health.SetServing("model", false);
  CHECK(StatusIn(watch.Read()) == HealthCheckResponse::NOT_SERVING);
  watch.Cancel();
  CHECK(watch.Finish().error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("A stop ends the watches, and those that come later", "[health_service]") {
  ServedHealth served;
  const auto channel = served.server.Connect();
  served.health.SetServing("", true);
  ClientCall watch(channel, kWatch);
  watch.Write(Request(""));
  CHECK(StatusIn(watch.Read()) == HealthCheckResponse::SERVING);
  served.health.Stop();
  CHECK(!watch.Read().has_value());
  CHECK(watch.Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(AskOnce(channel, kWatch, Request("")).status.error_code() == grpc::StatusCode::UNAVAILABLE);
}

}  // namespace tandem::server
