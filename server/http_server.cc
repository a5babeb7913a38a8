#include "server/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/version.h"
#include "server/infer_json.h"
#include "server/model_description.h"
#include "server/request_decoder.h"

namespace tandem::server {
namespace {

using nlohmann::json;

// JSON is for small requests; tensors of size go by gRPC.
constexpr uint64_t kLargestBody = uint64_t{16} << 20;
constexpr size_t kThreads = 8;
constexpr auto kReadTimeout = std::chrono::seconds(10);

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
  Impl(HttpServerOptions options, const Clock& clock, Router& router, const ServingState& state)
      : options_(std::move(options)), clock_(clock), router_(router), state_(state) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_payload_max_length(std::min(options_.max_message_bytes, kLargestBody));
    server_.set_read_timeout(kReadTimeout);
    // The library's default shares the port with other servers (SO_REUSEPORT).
    server_.set_socket_options([](int fd) {
      const int yes = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    AddHealthRoutes();
    AddModelRoutes();
  }

  ~Impl() { Stop(); }

  absl::Status Start() {
    int port = options_.port;
    bool bound = false;
    if (port == 0) {
      port = server_.bind_to_any_port(options_.address);
      bound = port > 0;
    } else {
      bound = server_.bind_to_port(options_.address, port);
    }
    if (!bound) {
      return absl::UnavailableError(
          absl::StrCat("port ", options_.port, " of ", options_.address,
                       " cannot be listened on: it is taken, or not ours; choose another with "
                       "--http-port"));
    }
    port_ = static_cast<uint16_t>(port);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    return absl::OkStatus();
  }

  void Stop() {
    if (!thread_.joinable()) return;
    // The library forgets a stop that comes before its loop has begun.
    while (!server_.is_running()) std::this_thread::yield();
    server_.stop();
    thread_.join();
  }

  uint16_t port() const { return port_; }

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;

  void AddHealthRoutes() {
    server_.Get("/v2/health/live", [](const Request&, Response&) {});
    server_.Get("/v2/health/ready", [this](const Request&, Response& response) {
      response.status = state_.ready() ? 200 : 503;
    });
    server_.Get("/v2/?", [](const Request&, Response& response) {
      Reply(json{{"name", "tandem"},
                 {"version", std::string(Version())},
                 {"extensions", json::array()}},
            &response);
    });
  }

  void AddModelRoutes() {
    static constexpr char kModel[] = R"(/v2/models/([^/]+)(?:/versions/([^/]+))?)";
    server_.Get(kModel, [this](const Request& request, Response& response) {
      Reply(Metadata(request), &response);
    });
    server_.Get(absl::StrCat(kModel, "/ready"), [this](const Request& request, Response& response) {
      const absl::StatusOr<ModelStatus> model = Find(request);
      if (!model.ok()) return Reply(model.status(), &response);
      const bool ready = model->state == ModelState::kReady && !state_.draining();
      if (!ready) Reply(absl::UnavailableError(model->reason), &response);
    });
    server_.Post(
        absl::StrCat(kModel, "/infer"),
        [this](const Request& request, Response& response) { Reply(Infer(request), &response); });
  }

  absl::StatusOr<ModelStatus> Find(const Request& request) const {
    const absl::StatusOr<int64_t> version = ParseVersion(request.matches[2].str());
    if (!version.ok()) return version.status();
    return router_.FindModel(request.matches[1].str(), *version);
  }

  absl::StatusOr<json> Metadata(const Request& request) const {
    const absl::StatusOr<ModelStatus> model = Find(request);
    if (!model.ok()) return model.status();
    const inference::ModelMetadataResponse metadata = DescribeModel(*model, router_.Models());
    return json{{"name", metadata.name()},
                {"versions",
                 std::vector<std::string>(metadata.versions().begin(), metadata.versions().end())},
                {"platform", metadata.platform()},
                {"inputs", DescribeTensors(metadata.inputs())},
                {"outputs", DescribeTensors(metadata.outputs())}};
  }

  absl::StatusOr<json> Infer(const Request& request) {
    if (const absl::Status accepts = state_.accepts(); !accepts.ok()) return accepts;
    if (request.has_header("Inference-Header-Content-Length")) {
      return absl::InvalidArgumentError(
          "binary tensors are not offered over HTTP; send them as JSON, or use gRPC");
    }
    absl::StatusOr<inference::ModelInferRequest> message = ParseInferJson(request.body);
    if (!message.ok()) return message.status();
    message->set_model_name(request.matches[1].str());
    message->set_model_version(request.matches[2].str());
    absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(*std::move(message), clock_.Now());
    if (!decoded.ok()) return decoded.status();
    std::promise<InferResponse> answered;
    router_.Submit(std::move(decoded->request), [&answered](InferResponse response) {
      answered.set_value(std::move(response));
    });
    return WriteInferJson(answered.get_future().get(), decoded->id);
  }

  const HttpServerOptions options_;
  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  httplib::Server server_;
  uint16_t port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(HttpServerOptions options, const Clock& clock, Router& router,
                       const ServingState& state)
    : impl_(std::make_unique<Impl>(std::move(options), clock, router, state)) {}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Start() { return impl_->Start(); }

void HttpServer::Stop() { impl_->Stop(); }

uint16_t HttpServer::port() const { return impl_->port(); }

}  // namespace tandem::server
