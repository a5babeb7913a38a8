#include "server/http_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "router/quoted.h"
#include "server/http_listener.h"
#include "server/infer_json.h"
#include "server/inference_queries.h"
#include "server/request_decoder.h"

namespace tandem::server {
namespace {

using nlohmann::json;

// JSON is for small requests; tensors of size go by gRPC.
constexpr uint64_t kLargestBody = uint64_t{16} << 20;
// What httplib itself has.
constexpr size_t kCallsPerConnection = 100;
// All requests over HTTP are one client's: connections of one request at a time would each pass for
// one that asks for little.
constexpr uint64_t kHttpClient = std::numeric_limits<uint64_t>::max();
// How often a client that waits for its answer is looked after.
constexpr auto kHangUpCheck = std::chrono::milliseconds(50);

int HttpCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

// Names may hold bytes that are no UTF-8; JSON may not.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void Reply(const absl::StatusOr<json>& body, httplib::Response* response) {
  response->status = HttpCode(body.status().code());
  const json sent = body.ok() ? *body : json{{"error", std::string(body.status().message())}};
  response->set_content(Dump(sent), "application/json");
}

// The library reads no body of other methods.
bool MayHaveBody(const httplib::Request& request) {
  constexpr absl::string_view kMethods[] = {"POST", "PUT", "PATCH", "DELETE"};
  return absl::c_linear_search(kMethods, request.method);
}

// Whether the server sees the request end where a proxy before it does (RFC 9112, 6.3). What it
// leaves of one would be read as another request, which the proxy has not seen.
absl::Status CheckLength(const httplib::Request& request) {
  const size_t lengths = request.get_header_value_count("Content-Length");
  const size_t encodings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + encodings > 1) {
    return absl::InvalidArgumentError(
        "the request tells its length twice: expected one Content-Length or Transfer-Encoding");
  }
  const std::string length = request.get_header_value("Content-Length");
  uint64_t bytes = 0;
  if (lengths > 0 &&
      (!absl::c_all_of(length, absl::ascii_isdigit) || !absl::SimpleAtoi(length, &bytes))) {
    return absl::InvalidArgumentError(
        absl::StrCat("Content-Length is ", Quoted(length), ": expected a number of bytes"));
  }
  const std::string encoding = request.get_header_value("Transfer-Encoding");
  if (encodings > 0 && !absl::EqualsIgnoreCase(encoding, "chunked")) {
    return absl::InvalidArgumentError(
        absl::StrCat("Transfer-Encoding is ", Quoted(encoding), ": expected chunked"));
  }
  if ((bytes > 0 || encodings > 0) && !MayHaveBody(request)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", Quoted(request.method), " has no body here: send it with POST"));
  }
  return absl::OkStatus();
}

// After an answer to what could not be read, or not to its end.
void EndConnection(httplib::Response* response) {
  HttpListener::EndConnection();
  response->set_header("Connection", "close");
}

// What the library refuses it refuses without a word, and without having read it to its end but for
// paths that are not there.
void ExplainRefusal(const httplib::Request& request, uint64_t largest_body,
                    httplib::Response* response) {
  const int code = response->status;
  if (code < 400 || code >= 500 || !response->body.empty()) return;
  std::string reason = "the request cannot be read as one of HTTP";
  if (code == 404) {
    reason = absl::StrCat("there is no ", request.method, " of ", Quoted(request.path),
                          " here; gRPC has all methods");
  } else if (code == 413) {
    reason = absl::StrCat("the body has more than ", largest_body,
                          " bytes, the most over HTTP; larger requests go by gRPC");
  } else if (code == 414) {
    reason = "the request's address is too long";
  } else if (code == 415) {
    reason = "the body's Content-Encoding is none that the server reads; send it as it is";
  }
  Reply(absl::UnknownError(reason), response);
  response->status = code;
  if (code != 404) EndConnection(response);
}

HttpListenerOptions ListenerOptions(const HttpServerOptions& options) {
  HttpListenerOptions listener;
  listener.address = options.address;
  listener.port = options.port;
  listener.port_flag = "http-port";
  listener.calls_per_connection = kCallsPerConnection;
  listener.shares_port = options.shares_port;
  listener.connections = options.connections;
  return listener;
}

json DescribeTensors(
    const google::protobuf::RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>&
        tensors) {
  json list = json::array();
  for (const auto& tensor : tensors) {
    list.push_back({{"name", tensor.name()},
                    {"datatype", tensor.datatype()},
                    {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())}});
  }
  return list;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, const Clock& clock, Router& router,
       const ServingState& state)
      : clock_(clock),
        router_(router),
        state_(state),
        queries_(router, state),
        listener_(ListenerOptions(options)) {
    const uint64_t largest_body = std::min(options.max_message_bytes, kLargestBody);
    listener_.routes().set_payload_max_length(largest_body);
    listener_.routes().set_pre_routing_handler([](const Request& request, Response& response) {
      const absl::Status status = CheckLength(request);
      if (status.ok()) return httplib::Server::HandlerResponse::Unhandled;
      Reply(status, &response);
      EndConnection(&response);
      return httplib::Server::HandlerResponse::Handled;
    });
    listener_.routes().set_error_handler(
        [largest_body](const Request& request, Response& response) {
          ExplainRefusal(request, largest_body, &response);
        });
    AddHealthRoutes();
    AddModelRoutes();
  }

  HttpListener& listener() { return listener_; }

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;

  void AddHealthRoutes() {
    httplib::Server& routes = listener_.routes();
    routes.Get("/v2/health/live", [](const Request&, Response&) {});
    routes.Get("/v2/health/ready", [this](const Request&, Response& response) {
      response.status = state_.ready() ? 200 : 503;
    });
    routes.Get("/v2/?",
               [this](const Request&, Response& response) { Reply(ServerMetadata(), &response); });
  }

  void AddModelRoutes() {
    httplib::Server& routes = listener_.routes();
    static constexpr char kModel[] = R"(/v2/models/([^/]+)(?:/versions/([^/]+))?)";
    routes.Get(kModel, [this](const Request& request, Response& response) {
      Reply(Metadata(request), &response);
    });
    routes.Get(absl::StrCat(kModel, "/ready"), [this](const Request& request, Response& response) {
      const absl::StatusOr<ModelStatus> model = Find(request);
      if (!model.ok()) return Reply(model.status(), &response);
      const bool ready = model->state == ModelState::kReady && !state_.draining();
      if (!ready) Reply(absl::UnavailableError(model->reason), &response);
    });
    routes.Post(absl::StrCat(kModel, "/infer"), [this](const Request& request, Response& response) {
      Reply(Infer(request), &response);
    });
  }

  absl::StatusOr<json> ServerMetadata() const {
    const auto metadata = queries_.Answer(inference::ServerMetadataRequest());
    if (!metadata.ok()) return metadata.status();
    // The extensions that gRPC has are not offered here.
    return json{{"name", metadata->name()},
                {"version", metadata->version()},
                {"extensions", json::array()}};
  }

  absl::StatusOr<ModelStatus> Find(const Request& request) const {
    const absl::StatusOr<int64_t> version = ParseVersion(request.matches[2].str());
    if (!version.ok()) return version.status();
    return router_.FindModel(request.matches[1].str(), *version);
  }

  absl::StatusOr<json> Metadata(const Request& request) const {
    inference::ModelMetadataRequest message;
    message.set_name(request.matches[1].str());
    message.set_version(request.matches[2].str());
    const auto metadata = queries_.Answer(message);
    if (!metadata.ok()) return metadata.status();
    return json{{"name", metadata->name()},
                {"versions", std::vector<std::string>(metadata->versions().begin(),
                                                      metadata->versions().end())},
                {"platform", metadata->platform()},
                {"inputs", DescribeTensors(metadata->inputs())},
                {"outputs", DescribeTensors(metadata->outputs())}};
  }

  absl::StatusOr<json> Infer(const Request& request) {
    if (const absl::Status accepts = state_.accepts(); !accepts.ok()) return accepts;
    if (request.has_header("Inference-Header-Content-Length")) {
      return absl::InvalidArgumentError(
          "binary tensors are not offered over HTTP; send them as JSON, or use gRPC");
    }
    absl::StatusOr<inference::ModelInferRequest> message = ParseInferJson(request.body);
    if (!message.ok()) {
      return absl::Status(message.status().code(),
                          absl::StrCat("model ", Quoted(request.matches[1].str()), ": ",
                                       message.status().message()));
    }
    message->set_model_name(request.matches[1].str());
    message->set_model_version(request.matches[2].str());
    absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(*std::move(message), clock_.Now());
    if (!decoded.ok()) return decoded.status();
    decoded->request->client = kHttpClient;
    return WriteInferJson(Run(std::move(decoded->request)), decoded->id, decoded->wants_placement);
  }

  // Waits for the answer. A client that hangs up meanwhile has cancelled the request.
  InferResponse Run(std::unique_ptr<InferRequest> request) {
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    request->cancelled = cancelled;
    std::promise<InferResponse> promise;
    std::future<InferResponse> answer = promise.get_future();
    router_.Submit(std::move(request),
                   [&promise](InferResponse response) { promise.set_value(std::move(response)); });
    while (answer.wait_for(kHangUpCheck) == std::future_status::timeout) {
      if (HttpListener::HasHungUp()) cancelled->store(true, std::memory_order_relaxed);
    }
    return answer.get();
  }

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  const InferenceQueries queries_;
  HttpListener listener_;
};

HttpServer::HttpServer(const HttpServerOptions& options, const Clock& clock, Router& router,
                       const ServingState& state)
    : impl_(std::make_unique<Impl>(options, clock, router, state)) {}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Start() { return impl_->listener().Start(); }

void HttpServer::StopListening() { impl_->listener().StopListening(); }

void HttpServer::Stop() { impl_->listener().Stop(); }

uint16_t HttpServer::port() const { return impl_->listener().port(); }

}  // namespace tandem::server
