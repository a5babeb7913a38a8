// The server's end of the worker protocol, driven by hand, with the worker's control loop on a
// thread of the test.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backends/ipc/arena_allocator.h"
#include "backends/ipc/control_channel.h"
#include "backends/ipc/region_layout.h"
#include "backends/ipc/shared_memory.h"
#include "backends/ipc/tensor_record.h"
#include "backends/worker/control_loop.h"
#include "worker.pb.h"

namespace tandem::worker {

// A tensor with bytes of its own.
struct TestTensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  std::vector<std::byte> bytes;

  friend bool operator==(const TestTensor&, const TestTensor&) = default;
};

TestTensor FloatTensor(std::string name, const std::vector<float>& values, Shape shape);

// The synthetic platform alone.
absl::StatusOr<Runtimes> SyntheticOnly(const RuntimeOptions& options);

class ServerEnd {
 public:
  struct Options {
    uint32_t lanes = 1;
    size_t input_arena_bytes = 1 << 20;
    size_t output_arena_bytes = 1 << 20;
    ControlLoop::RuntimeFactory make_runtimes = SyntheticOnly;
  };
  explicit ServerEnd(Options options);
  // Hangs up and waits for the loop.
  ~ServerEnd();

  // The greeting as it should be; a test may spoil it before it sends it.
  v1::ToWorker MakeHello() const;
  // Sends the greeting with the first `regions` descriptors, and returns the answer.
  v1::HelloReply Greet(const v1::ToWorker& hello, size_t regions = 3);
  v1::HelloReply Greet() { return Greet(MakeHello()); }

  void Send(const v1::ToWorker& message);
  v1::FromWorker Receive();
  // Loads a synthetic model and requires that it works.
  void LoadSynthetic(uint32_t handle, const std::map<std::string, std::string>& parameters = {});

  // Returns the place of the record in the input arena.
  uint64_t Submit(uint32_t lane, uint64_t batch_id, uint32_t handle,
                  const std::vector<TestTensor>& inputs);
  void SubmitEntry(uint32_t lane, const ipc::SubmitEntry& entry);
  // The lane's next completion; fails the test where none comes.
  ipc::CompletionEntry AwaitCompletion(uint32_t lane);
  std::vector<TestTensor> Outputs(const ipc::CompletionEntry& completion) const;
  std::string ErrorText(const ipc::CompletionEntry& completion) const;
  void Release(const ipc::CompletionEntry& completion);

  ipc::ControlRegion* region() const { return ipc::RegionAt(control_.data()); }
  ipc::LaneRings* lane(uint32_t index) const { return ipc::LaneAt(control_.data(), index); }

  void Shutdown();
  void HangUp() { channel_.reset(); }
  // Waits for the loop; its status.
  absl::Status Join();
  // Waits until a lane has said that the memory makes no sense.
  absl::Status AwaitBroken();

 private:
  struct LaneEnd {
    ipc::RingProducer<ipc::SubmitRing> submit;
    ipc::RingConsumer<ipc::CompletionRing> completion;
  };

  const Options options_;
  ipc::SharedMemory control_;
  ipc::SharedMemory input_;
  ipc::SharedMemory output_;
  ipc::ArenaAllocator input_allocator_;
  std::vector<LaneEnd> lanes_;
  std::optional<ipc::ControlChannel> channel_;

  std::mutex mutex_;
  std::condition_variable broke_;
  // Guarded by mutex_.
  std::optional<absl::Status> broken_;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace tandem::worker
