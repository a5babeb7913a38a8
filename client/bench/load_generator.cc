#include "client/bench/load_generator.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "client/bench/arrivals.h"

namespace tandem::client {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// Calls of an open loop that are unanswered at a time, at most.
constexpr int kMostUnanswered = 4096;
// How long after its end an open loop's calls are still sent that were due before. A rate beyond
// what this process can send would else have no end.
constexpr std::chrono::seconds kSendGrace(1);
constexpr int kMostDefaultChannels = 16;
constexpr int kCallsOfChannel = 4;

// The one time axis of a level.
struct Window {
  SteadyClock::time_point start;
  SteadyClock::time_point begin;
  SteadyClock::time_point end;

  bool Holds(SteadyClock::time_point time) const { return time >= begin && time < end; }
};

// One call after the other on one connection.
struct Call {
  grpc::GenericStub* stub = nullptr;
  // In this order: the reader lies in memory of the context's call.
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  // When it was to be sent.
  SteadyClock::time_point due;
  bool under_way = false;
};

// A thread's part of the load.
class Loop {
 public:
  Loop(const LoadLevel& level, const Window& window, const LoadOptions& options,
       const std::vector<grpc::ByteBuffer>& requests, int calls)
      : level_(level), window_(window), options_(options), requests_(requests), calls_(calls) {}

  void UseConnections(const std::vector<std::unique_ptr<grpc::GenericStub>>& stubs, size_t first) {
    for (size_t i = 0; i < calls_.size(); ++i)
      calls_[i].stub = stubs[(first + i) % stubs.size()].get();
  }

  // Sends `concurrency` calls, and the next for each that ends, until the window ends.
  void RunClosed() {
    for (Call& call : calls_) Send(call, SteadyClock::now());
    sent_all_.count_down();
    Release();
    TakeAnswers();
  }

  // Sends each call when it is due; answers are taken by another thread.
  void RunOpen(Arrivals arrivals) {
    for (Call& call : calls_) free_.push_back(&call);
    std::thread pacer([this, &arrivals] { SendWhenDue(arrivals); });
    TakeAnswers();
    pacer.join();
  }

  void AddTo(LoadResult& result) const {
    result.latencies.Add(latencies_);
    result.calls_per_second +=
        static_cast<double>(answered_) / std::chrono::duration<double>(options_.duration).count();
    result.failures += failures_;
    result.unanswered += unanswered_;
    result.refusals.Add(refusals_);
    result.held_back += held_back_;
    result.unsent += unsent_;
    // Whether there is a connection is for the caller to add.
    if (unavailable_ > 0) result.server_lost = true;
    if (result.first_failure.empty()) result.first_failure = first_failure_;
  }

 private:
  void Send(Call& call, SteadyClock::time_point due) {
    static const std::string kMethod = "/inference.GRPCInferenceService/ModelInfer";
    call.reader.reset();
    call.context.emplace();
    call.reply.Clear();
    call.due = due;
    call.under_way = true;
    unended_.fetch_add(1, std::memory_order_relaxed);
    const grpc::ByteBuffer& request = requests_[next_request_++ % requests_.size()];
    call.reader = call.stub->PrepareUnaryCall(&*call.context, kMethod, request, &queue_);
    call.reader->StartCall();
    call.reader->Finish(&call.reply, &call.status, &call);
  }

  // One of those that keep the queue open has ended: a call, or the thread that sends.
  void Release() {
    if (unended_.fetch_sub(1, std::memory_order_acq_rel) == 1) queue_.Shutdown();
  }

  void TakeAnswers() {
    // gRPC's queues count deadlines on the clock of the wall.
    const auto give_up =
        std::chrono::system_clock::now() + (window_.end - SteadyClock::now()) + options_.timeout;
    void* tag = nullptr;
    bool ok = false;
    while (true) {
      switch (queue_.AsyncNext(&tag, &ok, give_up)) {
        case grpc::CompletionQueue::GOT_EVENT:
          End(*static_cast<Call*>(tag));
          break;
        case grpc::CompletionQueue::SHUTDOWN:
          return;
        case grpc::CompletionQueue::TIMEOUT:
          // Nothing is sent any more, so that calls_ stands still; what the sending thread wrote is
          // seen here. The calls' ends come as events.
          timed_out_ = true;
          sent_all_.wait();
          for (Call& call : calls_) {
            if (call.under_way) call.context->TryCancel();
          }
          while (queue_.Next(&tag, &ok)) End(*static_cast<Call*>(tag));
          return;
      }
    }
  }

  void End(Call& call) {
    const SteadyClock::time_point now = SteadyClock::now();
    call.under_way = false;
    Count(call, now);
    if (level_.concurrency > 0) {
      if (now < window_.end) Send(call, now);
    } else {
      const std::lock_guard lock(mutex_);
      free_.push_back(&call);
      if (free_.size() == 1) has_free_.notify_one();
    }
    Release();
  }

  void Count(const Call& call, SteadyClock::time_point now) {
    if (!call.status.ok()) {
      if (timed_out_) ++unanswered_;
      if (failures_++ == 0) {
        first_failure_ = timed_out_ ? "no answer came in time" : call.status.error_message();
      }
      if (call.status.error_code() == grpc::StatusCode::UNAVAILABLE) ++unavailable_;
      if (call.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
          window_.Holds(call.due)) {
        refusals_.Record(now - call.due);
      }
      return;
    }
    const bool ended_within = window_.Holds(now);
    if (ended_within) ++answered_;
    if (level_.concurrency > 0 ? ended_within : window_.Holds(call.due)) {
      latencies_.Record(now - call.due);
    }
  }

  void SendWhenDue(Arrivals& arrivals) {
    // The kernel else wakes a sleeper up to 50 µs late.
    prctl(PR_SET_TIMERSLACK, 1);
    for (SteadyClock::time_point due = window_.start + arrivals.Next(); due < window_.end;
         due = window_.start + arrivals.Next()) {
      std::this_thread::sleep_until(due);
      // The measured time would else begin with the calls of the warm-up that could not be sent,
      // and past the server's capacity never come to its own.
      if (due < window_.begin && SteadyClock::now() >= window_.begin) {
        arrivals.SkipTo(window_.begin - window_.start);
        continue;
      }
      Call* const call = TakeFree();
      if (call == nullptr) {
        arrivals.SkipTo(window_.begin - window_.start);
        unsent_ = arrivals.CountUntil(window_.end - window_.start) + (due < window_.begin ? 0 : 1);
        break;
      }
      Send(*call, due);
    }
    sent_all_.count_down();
    Release();
  }

  // Null where none got free before the window's end, or it is long past.
  Call* TakeFree() {
    if (timed_out_ || SteadyClock::now() >= window_.end + kSendGrace) return nullptr;
    std::unique_lock lock(mutex_);
    if (free_.empty()) {
      ++held_back_;
      if (!has_free_.wait_until(lock, window_.end, [this] { return !free_.empty(); })) {
        return nullptr;
      }
    }
    Call* const call = free_.back();
    free_.pop_back();
    return call;
  }

  const LoadLevel& level_;
  const Window& window_;
  const LoadOptions& options_;
  const std::vector<grpc::ByteBuffer>& requests_;
  grpc::CompletionQueue queue_;
  // Calls do not move: gRPC holds pointers into them.
  std::deque<Call> calls_;
  size_t next_request_ = 0;
  // Calls that have not ended, and the thread that sends. At 0 the queue is shut down.
  std::atomic<int> unended_{1};

  // Of the thread that takes answers.
  LatencyHistogram latencies_;
  LatencyHistogram refusals_;
  uint64_t answered_ = 0;
  uint64_t failures_ = 0;
  uint64_t unanswered_ = 0;
  std::string first_failure_;
  uint64_t unavailable_ = 0;
  // The thread that sends looks at it as well.
  std::atomic<bool> timed_out_ = false;
  std::latch sent_all_{1};
  // Of the thread that sends, until sent_all_.
  uint64_t unsent_ = 0;

  std::mutex mutex_;
  std::condition_variable has_free_;
  // Guarded by mutex_.
  std::vector<Call*> free_;
  uint64_t held_back_ = 0;
};

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

bool IsReady(const std::shared_ptr<grpc::Channel>& channel) {
  return channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY;
}

// Returns when the channel is connected, or its first attempt has failed.
void WaitForAttempt(grpc::Channel& channel, std::chrono::system_clock::time_point patience) {
  while (true) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING) return;
    if (!channel.WaitForStateChange(state, patience)) return;
  }
}

Channels Connect(const LoadOptions& options, int calls) {
  int count = options.channels;
  if (count == 0) {
    count = std::min((calls + kCallsOfChannel - 1) / kCallsOfChannel, kMostDefaultChannels);
  }
  Channels channels;
  for (int number = 0; number < count; ++number) {
    grpc::ChannelArguments arguments;
    // Channels with equal arguments would share one connection.
    arguments.SetInt("tandem.bench.channel", number);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    channels.push_back(
        grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments));
    channels.back()->GetState(/*try_to_connect=*/true);
  }
  // Where some cannot connect, their calls will say so.
  const auto patience = std::chrono::system_clock::now() + options.timeout;
  for (const std::shared_ptr<grpc::Channel>& channel : channels) WaitForAttempt(*channel, patience);
  return channels;
}

// Of this process, in all its threads.
nanoseconds ProcessorTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

// How many of `all` fall to the share of `index` of `count`.
int ShareOf(int all, int index, int count) { return all / count + (index < all % count ? 1 : 0); }

}  // namespace

LoadResult GenerateLoad(const LoadOptions& options, const LoadLevel& level,
                        const std::vector<grpc::ByteBuffer>& requests) {
  const bool is_open = level.concurrency == 0;
  const int calls = is_open ? kMostUnanswered : level.concurrency;
  const int loop_count = std::min(std::max(options.threads, 1), calls);
  LoadResult result;
  result.level = level;
  const Channels channels = Connect(options, calls);
  if (std::none_of(channels.begin(), channels.end(), IsReady)) {
    result.server_lost = true;
    return result;
  }
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  for (const auto& channel : channels)
    stubs.push_back(std::make_unique<grpc::GenericStub>(channel));
  Window window;
  window.start = SteadyClock::now();
  window.begin = window.start + options.warm_up;
  window.end = window.begin + options.duration;
  std::deque<Loop> loops;
  std::vector<std::thread> threads;
  int first = 0;
  for (int i = 0; i < loop_count; ++i) {
    const int share = ShareOf(calls, i, loop_count);
    Loop& loop = loops.emplace_back(level, window, options, requests, share);
    loop.UseConnections(stubs, static_cast<size_t>(first));
    first += share;
    if (is_open) {
      const Arrivals arrivals(level.rate / loop_count, level.poisson, static_cast<uint32_t>(i + 1),
                              static_cast<double>(i + 1) / loop_count);
      threads.emplace_back([&loop, arrivals] { loop.RunOpen(arrivals); });
    } else {
      threads.emplace_back([&loop] { loop.RunClosed(); });
    }
  }
  std::this_thread::sleep_until(window.begin);
  const nanoseconds used_before = ProcessorTime();
  std::this_thread::sleep_until(window.end);
  const nanoseconds used = ProcessorTime() - used_before;
  for (std::thread& thread : threads) thread.join();
  result.client_cores = std::chrono::duration<double>(used) / options.duration;
  for (const Loop& loop : loops) loop.AddTo(result);
  if (std::any_of(channels.begin(), channels.end(), IsReady)) result.server_lost = false;
  if (options.slo.count() > 0) {
    result.within_slo_per_second = static_cast<double>(result.latencies.CountUpTo(options.slo)) /
                                   std::chrono::duration<double>(options.duration).count();
  }
  return result;
}

}  // namespace tandem::client
