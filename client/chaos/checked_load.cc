#include "client/chaos/checked_load.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "client/chaos/echo_stream.h"
#include "client/chaos/interruption.h"
#include "client/chaos/request_account.h"
#include "inference.grpc.pb.h"

namespace tandem::client {
namespace {

using inference::GRPCInferenceService;
using SteadyClock = std::chrono::steady_clock;

constexpr int kStreams = 4;

struct UnaryCall {
  grpc::ClientContext context;
  EchoRequest request;
  inference::ModelInferRequest message;
  inference::ModelInferResponse reply;
};

// The calls that are under way, so that they can be ended.
class UnaryCalls {
 public:
  explicit UnaryCalls(GRPCInferenceService::Stub& stub) : stub_(stub) {}

  void Send(RequestAccount& account, EchoRequest request) {
    auto* const call = new UnaryCall;
    call->message = MakeMessage(request);
    call->request = std::move(request);
    {
      const std::lock_guard lock(mutex_);
      under_way_.insert(call);
    }
    stub_.async()->ModelInfer(&call->context, &call->message, &call->reply,
                              [this, call, &account](const grpc::Status& status) {
                                if (status.ok()) {
                                  account.OnReply(call->request, call->reply);
                                } else {
                                  account.OnError(call->request.number, CodeName(status));
                                }
                                End(call);
                              });
  }

  void CancelAll() {
    std::unique_lock lock(mutex_);
    for (UnaryCall* const call : under_way_) call->context.TryCancel();
    all_ended_.wait(lock, [this] { return under_way_.empty(); });
  }

 private:
  static std::string CodeName(const grpc::Status& status) {
    return absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
  }

  void End(UnaryCall* call) {
    const std::lock_guard lock(mutex_);
    under_way_.erase(call);
    delete call;
    if (under_way_.empty()) all_ended_.notify_all();
  }

  GRPCInferenceService::Stub& stub_;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  // Each is deleted when it has ended.
  std::set<UnaryCall*> under_way_ ABSL_GUARDED_BY(mutex_);
};

std::unique_ptr<GRPCInferenceService::Stub> Connect(const std::string& target, int number) {
  grpc::ChannelArguments arguments;
  // Channels with equal arguments would share one connection.
  arguments.SetInt("tandem.chaos.channel", number);
  return GRPCInferenceService::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

}  // namespace

class CheckedLoad::Impl {
 public:
  explicit Impl(CheckedLoadOptions given)
      : options_(std::move(given)),
        unary_stub_(Connect(options_.target, 0)),
        stream_stub_(Connect(options_.target, 1)),
        calls_(*unary_stub_) {
    for (int i = 0; i < kStreams; ++i) {
      streams_.push_back(std::make_unique<EchoStream>(*stream_stub_, account_, options_.salt));
    }
  }

  ~Impl() {
    Finish(std::chrono::nanoseconds(0));
    account_.Close();
    poison_account_.Close();
    for (const auto& stream : streams_) stream->Cancel();
    for (const auto& stream : streams_) stream->WaitForEnd();
    calls_.CancelAll();
  }

  void Start() {
    pacer_ = std::thread([this] { SendWhenDue(); });
  }

  void Enter(ChaosPhase phase) { account_.Enter(phase); }

  void SendPoison(const std::string& model) {
    const uint64_t number = poison_account_.Send(SteadyClock::now());
    calls_.Send(poison_account_, {options_.salt, number, model, true});
  }

  void Finish(std::chrono::nanoseconds patience) {
    end_.Interrupt();
    if (pacer_.joinable()) pacer_.join();
    account_.WaitForAnswers(patience);
    poison_account_.WaitForAnswers(patience);
  }

  RequestLedger ledger() const { return account_.ledger(); }
  RequestLedger poison_ledger() const { return poison_account_.ledger(); }

 private:
  void SendWhenDue() {
    const auto gap = std::chrono::duration_cast<SteadyClock::duration>(
        std::chrono::duration<double>(1 / options_.rate));
    for (auto due = SteadyClock::now() + gap; end_.SleepUntil(due); due += gap) {
      const uint64_t number = account_.Send(due);
      // Apart from what decides on the model.
      const uint64_t group = number / 6;
      const bool on_stream = group % 2 == 1 && streams_[group / 2 % kStreams]->Send(number);
      if (!on_stream) calls_.Send(account_, {options_.salt, number, ModelOfNumber(number), false});
    }
  }

  const CheckedLoadOptions options_;
  RequestAccount account_;
  RequestAccount poison_account_;
  const std::unique_ptr<GRPCInferenceService::Stub> unary_stub_;
  const std::unique_ptr<GRPCInferenceService::Stub> stream_stub_;
  UnaryCalls calls_;
  std::vector<std::unique_ptr<EchoStream>> streams_;
  Interruption end_;
  std::thread pacer_;
};

CheckedLoad::CheckedLoad(CheckedLoadOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
CheckedLoad::~CheckedLoad() = default;
void CheckedLoad::Start() { impl_->Start(); }
void CheckedLoad::Enter(ChaosPhase phase) { impl_->Enter(phase); }
void CheckedLoad::SendPoison(const std::string& model) { impl_->SendPoison(model); }
void CheckedLoad::Finish(std::chrono::nanoseconds patience) { impl_->Finish(patience); }
RequestLedger CheckedLoad::ledger() const { return impl_->ledger(); }
RequestLedger CheckedLoad::poison_ledger() const { return impl_->poison_ledger(); }

}  // namespace tandem::client
