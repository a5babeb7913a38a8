#include "client/chaos/echo_stream.h"

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace tandem::client {
namespace {

// An error on a stream is a message without a code.
constexpr char kErrorOnStream[] = "ON_STREAM";
constexpr size_t kMostSent = 4096;

}  // namespace

EchoStream::EchoStream(inference::GRPCInferenceService::Stub& stub, RequestAccount& account,
                       uint64_t salt)
    : account_(account), salt_(salt) {
  stub.async()->ModelStreamInfer(&context_, this);
  // Writes are started outside of the reactor's own calls.
  AddHold();
  StartRead(&answer_);
  StartCall();
}

bool EchoStream::Send(uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (broken_) return false;
  if (sent_.size() == kMostSent) {
    std::erase_if(sent_, [this](uint64_t each) { return !account_.IsOpen(each); });
  }
  sent_.push_back(number);
  queue_.push_back(MakeMessage({salt_, number, ModelOfNumber(number), false}));
  if (!writing_) WriteNext();
  return true;
}

void EchoStream::WriteNext() {
  writing_ = true;
  StartWrite(&queue_.front());
}

void EchoStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  queue_.pop_front();
  writing_ = false;
  if (!ok) broken_ = true;
  if (!broken_ && !queue_.empty()) WriteNext();
}

void EchoStream::OnReadDone(bool ok) {
  if (ok) {
    TakeAnswer();
    StartRead(&answer_);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    broken_ = true;
  }
  RemoveHold();
}

void EchoStream::TakeAnswer() {
  uint64_t number = std::numeric_limits<uint64_t>::max();
  // One that cannot be read belongs to no request: the account knows it as wrong.
  if (!NumberOfId(answer_.infer_response().id(), &number))
    number = std::numeric_limits<uint64_t>::max();
  if (!answer_.error_message().empty()) {
    account_.OnError(number, kErrorOnStream);
  } else {
    account_.OnReply({salt_, number, ModelOfNumber(number), false}, answer_.infer_response());
  }
}

void EchoStream::OnDone(const grpc::Status& status) {
  std::vector<uint64_t> sent;
  {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    sent.swap(sent_);
  }
  // A stream that ends well has lost what it has not answered.
  if (!status.ok()) {
    const std::string code =
        absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
    for (const uint64_t number : sent) {
      if (account_.IsOpen(number)) account_.OnError(number, code);
    }
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  ended_changed_.notify_all();
}

void EchoStream::WaitForEnd() {
  std::unique_lock lock(mutex_);
  ended_changed_.wait(lock, [this] { return ended_; });
}

}  // namespace tandem::client
