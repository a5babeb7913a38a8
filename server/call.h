// One call of a client's, of whatever method, as bytes in and out; and what answers it. A call is
// there from its arrival until gRPC is done with it and its responder waits for nothing any more;
// then it deletes itself, and the responder with it. But for what it says, all of it is for the
// thread of its queue, on which the responder is called too.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "server/call_queue.h"

namespace tandem::server {

// Ends its call, by Call::Finish, in the end.
class Responder {
 public:
  virtual ~Responder() = default;

  // What Call::Read asked for: a message, or that the client sends no more.
  virtual void OnMessage(const grpc::ByteBuffer& message) = 0;
  virtual void OnNoMessage() = 0;
  // What Call::Write was given is on its way; not ok: the client cannot be written to any more.
  virtual void OnWritten(bool /*ok*/) {}
  // The client has gone, or its deadline has passed. The call is still to be ended.
  virtual void OnCancel() {}
  // The server will end. For calls that last as long as their clients like: to be ended once they
  // owe no answer.
  virtual void OnDrain() {}
};

class Call final : private CallQueue::Member {
 public:
  using MakeResponder = std::function<std::unique_ptr<Responder>(Call& call)>;
  // By path, as in "/package.Service/Method".
  using Methods = std::unordered_map<std::string, MakeResponder>;

  // Serves the calls that arrive at the queue, until the server shuts down. All outlive the calls.
  static void ServeNext(CallQueue& queue, grpc::AsyncGenericService& service,
                        const Methods& methods);

  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // One at a time.
  void Read();
  // One at a time.
  void Write(const grpc::ByteBuffer& message);
  // Ends the call once what was written has gone; the first one counts. Where the status says when
  // another try makes sense, the client is told (EndingStatus).
  void Finish(const absl::Status& status);
  // The same with OK, after a last message.
  void Finish(const grpc::ByteBuffer& message);

  // Runs the task on the queue's thread; the call is there until it has run. Thread-safe, while the
  // call is not ended.
  void Post(CallQueue::Task task);

  // For the one answer that a call waits for: the responder says Expect before it asks for it, and
  // whoever has it calls Answer, on any thread, with a task that ends the call. It runs as
  // CallQueue::Answer says.
  void Expect();
  void Answer(CallQueue::Task task);

  // Expect, and CallQueue::Submit: `done` calls Answer.
  void Submit(std::unique_ptr<InferRequest> request, ResponseCallback done);

  // When an answer has to be sent to be there at the client's deadline, on the server's clock;
  // kNever where it set none. gRPC gives the client nothing that comes later, not even why.
  TimePoint Deadline(TimePoint now) const;
  // A number for the client's connection, as InferRequest::client.
  uint64_t client() const;

 private:
  // An operation of the call's.
  class Operation final : public CallQueue::Event {
   public:
    Operation(Call& call, void (Call::*end)(bool)) : call_(call), end_(end) {}
    void OnEvent(bool ok) override { (call_.*end_)(ok); }

   private:
    Call& call_;
    void (Call::*const end_)(bool);
  };

  Call(CallQueue& queue, grpc::AsyncGenericService& service, const Methods& methods);
  ~Call() override;

  void OnDrain() override;
  void OnArrived(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  void OnClosed(bool ok);
  // One of what keeps the call has ended.
  void Release();

  CallQueue& queue_;
  grpc::AsyncGenericService& service_;
  const Methods& methods_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  Operation arrived_{*this, &Call::OnArrived};
  Operation read_{*this, &Call::OnRead};
  Operation written_{*this, &Call::OnWritten};
  Operation finished_{*this, &Call::OnFinished};
  Operation closed_{*this, &Call::OnClosed};
  grpc::ByteBuffer message_;
  std::unique_ptr<Responder> responder_;
  bool ended_ = false;
  // It has brought a message and has not gone yet.
  bool is_owed_ = false;
  // What is under way: operations, posted tasks, and what the responder is expected to end.
  std::atomic<int> uses_{0};
};

}  // namespace tandem::server
