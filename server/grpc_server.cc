#include "server/grpc_server.h"

#include <grpc/compression.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "server/listening.h"

namespace tandem::server {
namespace {

constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kLeastPingIntervalMs = 10'000;

void SetLimits(const GrpcServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);
  builder->SetResourceQuota(
      grpc::ResourceQuota("tandem").Resize(static_cast<size_t>(options.max_network_bytes)));
  if (options.max_connection_age.count() > 0) {
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(options.max_connection_age);
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, static_cast<int>(age.count()));
  }
  // Its own is two minutes, which is longer than keepalive has patience.
  const auto greeting =
      std::chrono::duration_cast<std::chrono::milliseconds>(options.greeting_timeout);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              static_cast<int>(greeting.count()));
  // gRPC inflates a message before it looks at its size: a megabyte could take a gigabyte.
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder->SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(options.max_streams_per_connection));
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                              static_cast<int>(options.max_metadata_bytes));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kLeastPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

GrpcServer::GrpcServer(GrpcServerOptions options, Router* router)
    : options_(std::move(options)),
      router_(router),
      acceptor_([this](int listener, int connection) { Take(listener, connection); },
                options_.connections) {}

GrpcServer::~GrpcServer() { Stop(Duration{0}); }

absl::Status GrpcServer::Start(Call::Methods methods) {
  methods_ = std::move(methods);
  // But for a take-over another server on the same port is an error, not a companion.
  if (!acceptor_.Listen(options_.address, options_.port, options_.shares_port).ok()) {
    return WhyNotListening(options_.address, options_.port, "grpc-port");
  }
  grpc::ServerBuilder builder;
  SetLimits(options_, &builder);
  entrance_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  builder.RegisterAsyncGenericService(&service_);
  for (uint32_t i = 0; i < options_.threads; ++i) {
    queues_.push_back(std::make_unique<CallQueue>(builder.AddCompletionQueue(), i, router_));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("gRPC does not start a server");
  for (const std::unique_ptr<CallQueue>& queue : queues_) {
    Call::ServeNext(*queue, service_, methods_);
    queue->Start();
  }
  acceptor_.Start();
  return absl::OkStatus();
}

void GrpcServer::Take(int listener, int connection) const {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters taken;
  taken.listener_fd = listener;
  taken.fd = connection;
  entrance_->HandleNewConnection(&taken);
}

void GrpcServer::StopListening() { acceptor_.Stop(); }

void GrpcServer::Drain() {
  for (const std::unique_ptr<CallQueue>& queue : queues_) queue->Drain();
}

void GrpcServer::AwaitAnswers(Duration most) {
  if (server_ == nullptr) return;
  const TimePoint until = SystemClock().Now() + most;
  for (const std::unique_ptr<CallQueue>& queue : queues_) queue->AwaitPaid(until);
}

void GrpcServer::Stop(Duration grace) {
  StopListening();
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::chrono::duration_cast<std::chrono::system_clock::duration>(grace));
  for (const std::unique_ptr<CallQueue>& queue : queues_) queue->Stop();
  server_.reset();
  queues_.clear();
}

}  // namespace tandem::server
