#include "server/health_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/unary_responder.h"

namespace tandem::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Of a service's name; nothing that is served has a longer one.
constexpr size_t kLongestName = 1000;

HealthCheckResponse StatusMessage(HealthService::Status status) {
  HealthCheckResponse response;
  response.set_status(status);
  return response;
}

absl::Status CheckName(const HealthCheckRequest& request) {
  if (request.service().size() <= kLongestName) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("service has ", request.service().size(), " bytes; at most ", kLongestName));
}

}  // namespace

// One Watch call: tells the status at first and at each change. A change that comes while one is
// being written is told when that has gone, as the last one before it.
class HealthService::Watch final : public UnaryResponder {
 public:
  Watch(Call& call, HealthService& health) : UnaryResponder(call), health_(health) {}
  ~Watch() override { Leave(); }

  const std::string& service() const { return service_; }

  // With the service's lock, so that the call is there.
  void Post(Status status) {
    call().Post([this, status] { Tell(status); });
  }
  void PostEnd() {
    call().Post([this] { End(absl::UnavailableError("the server is shutting down")); });
  }

  void OnWritten(bool ok) override {
    writing_ = false;
    if (!ok) return End(absl::CancelledError("the client has gone"));
    Proceed();
  }
  void OnCancel() override { End(absl::CancelledError("the client has gone")); }

 private:
  void Answer(const grpc::ByteBuffer& request) override {
    // The client may have gone before its request was read.
    if (end_.has_value()) return;
    HealthCheckRequest message;
    absl::Status status = ParseMessage(request, &message);
    if (status.ok()) status = CheckName(message);
    if (!status.ok()) return End(status);
    service_ = message.service();
    Status now{};
    entered_ = health_.Enter(*this, &now);
    if (!entered_) return End(absl::UnavailableError("the server is shutting down"));
    Tell(now);
  }

  void Tell(Status status) {
    latest_ = status;
    Proceed();
  }

  void End(absl::Status status) {
    if (end_.has_value()) return;
    end_ = std::move(status);
    Leave();
    Proceed();
  }

  void Leave() {
    if (std::exchange(entered_, false)) health_.Leave(*this);
  }

  void Proceed() {
    if (writing_) return;
    if (end_.has_value()) {
      call().Finish(*end_);
    } else if (latest_ != told_) {
      told_ = latest_;
      writing_ = true;
      call().Write(SerializeMessage(StatusMessage(*told_)));
    }
  }

  HealthService& health_;
  std::string service_;
  std::optional<Status> latest_;
  std::optional<Status> told_;
  // What the call ends with.
  std::optional<absl::Status> end_;
  bool entered_ = false;
  bool writing_ = false;
};

void HealthService::AddTo(Call::Methods& methods) {
  methods["/grpc.health.v1.Health/Check"] = AnswerMessage<HealthCheckRequest>(
      [this](const HealthCheckRequest& request) -> absl::StatusOr<HealthCheckResponse> {
        if (absl::Status name = CheckName(request); !name.ok()) return name;
        const std::lock_guard lock(mutex_);
        const Status status = StatusOf(request.service());
        if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
          return absl::NotFoundError("there is no service and no model of that name");
        }
        return StatusMessage(status);
      });
  methods["/grpc.health.v1.Health/Watch"] = [this](Call& call) {
    return std::make_unique<Watch>(call, *this);
  };
}

void HealthService::SetServing(const std::string& service, bool serving) {
  const std::lock_guard lock(mutex_);
  serving_[service] = serving;
  const auto [begin, end] = watches_.equal_range(service);
  for (auto watch = begin; watch != end; ++watch) watch->second->Post(StatusOf(service));
}

void HealthService::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const auto& [service, watch] : watches_) watch->PostEnd();
}

HealthService::Status HealthService::StatusOf(const std::string& service) const {
  const auto found = serving_.find(service);
  if (found == serving_.end()) return HealthCheckResponse::SERVICE_UNKNOWN;
  return found->second ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

bool HealthService::Enter(Watch& watch, Status* now) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  watches_.emplace(watch.service(), &watch);
  *now = StatusOf(watch.service());
  return true;
}

void HealthService::Leave(Watch& watch) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = watches_.equal_range(watch.service());
  for (auto each = begin; each != end; ++each) {
    if (each->second != &watch) continue;
    watches_.erase(each);
    return;
  }
}

}  // namespace tandem::server
