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

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "router/quoted.h"
#include "server/http_listener.h"
#include "server/http_reply.h"
#include "server/infer_json.h"
#include "server/inference_queries.h"
#include "server/memory_budget.h"
#include "server/request_decoder.h"

namespace tandem::server {
namespace {

using nlohmann::json;

// JSON is for small requests; tensors of size go by gRPC.
constexpr uint64_t kLargestBody = uint64_t{16} << 20;
// What a byte of JSON takes at most while it is parsed, as lists that are empty do, and as a
// request afterwards, as empty strings do.
constexpr uint64_t kParsedBytesPerByte = 32;
constexpr uint64_t kHeldBytesPerByte = 16;
// What httplib itself has.
constexpr size_t kCallsPerConnection = 100;
// All requests over HTTP are one client's: connections of one request at a time would each pass for
// one that asks for little.
constexpr uint64_t kHttpClient = std::numeric_limits<uint64_t>::max();
// Requests that wait for their answers at a time. The other threads are for health and metadata.
constexpr size_t kThreadsForOthers = 24;
const size_t kMostInfers = HttpListenerOptions().most_threads - kThreadsForOthers;
// How often a client that waits for its answer is looked after.
constexpr auto kHangUpCheck = std::chrono::milliseconds(50);

HttpListenerOptions ListenerOptions(const HttpServerOptions& options) {
  HttpListenerOptions listener;
  listener.address = options.address;
  listener.port = options.port;
  listener.port_flag = "http-port";
  listener.what_is_here = "gRPC has all methods, and takes larger requests";
  listener.most_body_bytes = options.max_network_bytes / kHeldBytesPerByte;
  listener.largest_body =
      std::min({options.max_message_bytes, kLargestBody, listener.most_body_bytes});
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
        parsed_(options.max_network_bytes),
        written_(options.max_network_bytes),
        listener_(ListenerOptions(options)) {
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
    const absl::Cleanup leave = [this] { --infers_; };
    absl::StatusOr<DecodedRequest> decoded = ++infers_ <= kMostInfers
                                                 ? Decode(request)
                                                 : absl::StatusOr<DecodedRequest>(TooManyInfers());
    if (!decoded.ok()) {
      router_.NoteRefused(decoded.status());
      return decoded.status();
    }
    const InferResponse response = Run(std::move(decoded->request));
    if (const absl::Status held = HoldMemoryFor(response); !held.ok()) return held;
    return WriteInferJson(response, decoded->id, decoded->wants_placement);
  }

  static absl::Status TooManyInfers() {
    return absl::ResourceExhaustedError(absl::StrCat(
        kMostInfers,
        " requests over HTTP are under way, the most that may; try again later, or use gRPC"));
  }

  absl::StatusOr<DecodedRequest> Decode(const Request& request) {
    if (const absl::Status accepts = state_.accepts(); !accepts.ok()) return accepts;
    if (request.has_header("Inference-Header-Content-Length")) {
      return absl::InvalidArgumentError(
          "binary tensors are not offered over HTTP; send them as JSON, or use gRPC");
    }
    absl::StatusOr<inference::ModelInferRequest> message = Parse(request.body);
    if (!message.ok()) {
      return absl::Status(message.status().code(),
                          absl::StrCat("model ", Quoted(request.matches[1].str()), ": ",
                                       message.status().message()));
    }
    message->set_model_name(request.matches[1].str());
    message->set_model_version(request.matches[2].str());
    absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(*std::move(message), clock_.Now());
    if (decoded.ok()) decoded->request->client = kHttpClient;
    return decoded;
  }

  // Until the client has taken the answer.
  absl::Status HoldMemoryFor(const InferResponse& response) {
    if (response.outputs.empty()) return absl::OkStatus();
    const auto share = std::make_shared<MemoryBudget::Share>(written_);
    if (!share->TryTake(MemoryOfInferJson(response))) {
      return absl::ResourceExhaustedError(
          absl::StrCat("model ", Quoted(response.model),
                       ": answers over HTTP have all the memory that they may "
                       "take together (--max-network-bytes); try again later, or use gRPC"));
    }
    HttpListener::KeepUntilWritten(share);
    return absl::OkStatus();
  }

  // Waits until others are done where they parse much.
  absl::StatusOr<inference::ModelInferRequest> Parse(const std::string& body) {
    MemoryBudget::Share share(parsed_);
    share.Take(body.size() * kParsedBytesPerByte);
    return ParseInferJson(body);
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
  // What bodies take while they are parsed.
  MemoryBudget parsed_;
  // What answers take until they are sent.
  MemoryBudget written_;
  std::atomic<size_t> infers_{0};
  HttpListener listener_;
};

HttpServer::HttpServer(const HttpServerOptions& options, const Clock& clock, Router& router,
                       const ServingState& state)
    : impl_(std::make_unique<Impl>(options, clock, router, state)) {}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Start() { return impl_->listener().Start(); }

void HttpServer::StopListening() { impl_->listener().StopListening(); }

void HttpServer::Stop(Duration grace) { impl_->listener().Stop(grace); }

uint16_t HttpServer::port() const { return impl_->listener().port(); }

}  // namespace tandem::server
