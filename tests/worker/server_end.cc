#include "tests/worker/server_end.h"

#include <cstring>
#include <utility>

#include "backends/worker/synthetic_runtime.h"
#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

constexpr std::chrono::seconds kReceivePatience{20};

ipc::SharedMemory MakeMemory(size_t bytes) {
  auto memory = ipc::SharedMemory::Create(bytes, ipc::SharedMemory::Access::kReadWrite);
  REQUIRE(memory.ok());
  return *std::move(memory);
}

}  // namespace

TestTensor FloatTensor(std::string name, const std::vector<float>& values, Shape shape) {
  TestTensor tensor{std::move(name), DataType::kFp32, std::move(shape), {}};
  tensor.bytes.resize(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

absl::StatusOr<Runtimes> SyntheticOnly(const RuntimeOptions& /*options*/) {
  Runtimes runtimes;
  runtimes.by_platform.emplace("synthetic", std::make_unique<SyntheticRuntime>());
  runtimes.description = "synthetic";
  runtimes.device = "cpu";
  return runtimes;
}

ServerEnd::ServerEnd(Options options)
    : options_(std::move(options)),
      control_(MakeMemory(ipc::ControlRegionBytes(options_.lanes))),
      input_(MakeMemory(options_.input_arena_bytes)),
      output_(MakeMemory(options_.output_arena_bytes)),
      input_allocator_(options_.input_arena_bytes) {
  for (uint32_t i = 0; i < options_.lanes; ++i) {
    lanes_.push_back(
        {ipc::RingProducer(&lane(i)->submit), ipc::RingConsumer(&lane(i)->completion)});
  }
  auto ends = ipc::ControlChannel::CreatePair();
  REQUIRE(ends.ok());
  channel_.emplace(std::move(ends->first));
  thread_ = std::thread([this, end = std::move(ends->second)]() mutable {
    ControlLoop loop(std::move(end), options_.make_runtimes, [this](const absl::Status& status) {
      const std::lock_guard lock(mutex_);
      broken_ = status;
      broke_.notify_all();
    });
    status_ = loop.Run();
  });
}

ServerEnd::~ServerEnd() {
  HangUp();
  if (thread_.joinable()) thread_.join();
}

v1::ToWorker ServerEnd::MakeHello() const {
  v1::ToWorker message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(ipc::kProtocolVersion);
  hello.set_pool("test");
  hello.set_lanes(options_.lanes);
  hello.set_threads(1);
  hello.set_control_bytes(ipc::ControlRegionBytes(options_.lanes));
  hello.set_input_arena_bytes(options_.input_arena_bytes);
  hello.set_output_arena_bytes(options_.output_arena_bytes);
  return message;
}

v1::HelloReply ServerEnd::Greet(const v1::ToWorker& hello, size_t regions) {
  std::vector<int> descriptors = {control_.fd(), input_.fd(), output_.fd()};
  descriptors.resize(regions);
  REQUIRE(channel_->Send(hello, descriptors).ok());
  const v1::FromWorker reply = Receive();
  REQUIRE(reply.has_hello());
  return reply.hello();
}

void ServerEnd::Send(const v1::ToWorker& message) { REQUIRE(channel_->Send(message).ok()); }

v1::FromWorker ServerEnd::Receive() {
  v1::FromWorker message;
  std::vector<ipc::UniqueFd> descriptors;
  REQUIRE(channel_->Receive(message, descriptors).ok());
  return message;
}

void ServerEnd::LoadSynthetic(uint32_t handle,
                              const std::map<std::string, std::string>& parameters) {
  v1::ToWorker message;
  v1::LoadModel& load = *message.mutable_load_model();
  load.set_handle(handle);
  load.set_name("echo");
  load.set_platform("synthetic");
  load.mutable_parameters()->insert(parameters.begin(), parameters.end());
  Send(message);
  const v1::FromWorker reply = Receive();
  REQUIRE(reply.has_model_loaded());
  REQUIRE(reply.model_loaded().handle() == handle);
}

uint64_t ServerEnd::Submit(uint32_t lane, uint64_t batch_id, uint32_t handle,
                           const std::vector<TestTensor>& inputs) {
  std::vector<ipc::ArenaTensor> tensors;
  for (const TestTensor& input : inputs) {
    const auto offset = input_allocator_.Allocate(input.bytes.size());
    REQUIRE(offset.has_value());
    if (!input.bytes.empty()) {
      std::memcpy(input_.data() + *offset, input.bytes.data(), input.bytes.size());
    }
    tensors.push_back({input.name, input.type, input.shape, *offset, input.bytes.size()});
  }
  const size_t record_bytes = ipc::RecordBytes(tensors);
  const auto record = input_allocator_.Allocate(record_bytes);
  REQUIRE(record.has_value());
  ipc::WriteRecord(tensors, input_.data() + *record);
  ipc::SubmitEntry entry{};
  entry.batch_id = batch_id;
  entry.model_handle = handle;
  entry.rows = 1;
  entry.record_offset = *record;
  entry.record_bytes = static_cast<uint32_t>(record_bytes);
  SubmitEntry(lane, entry);
  return *record;
}

void ServerEnd::SubmitEntry(uint32_t index, const ipc::SubmitEntry& entry) {
  REQUIRE(lanes_[index].submit.Put(entry) == ipc::RingResult::kOk);
  lane(index)->submitted.Ring();
}

ipc::CompletionEntry ServerEnd::AwaitCompletion(uint32_t lane) {
  auto& ring = lanes_[lane].completion;
  const auto give_up = std::chrono::steady_clock::now() + kReceivePatience;
  while (!ring.HasEntry() && std::chrono::steady_clock::now() < give_up) {
    region()->completed.Wait([&ring] { return ring.HasEntry(); }, nullptr, kReceivePatience);
  }
  ipc::CompletionEntry completion{};
  REQUIRE(ring.Take(completion) == ipc::RingResult::kOk);
  return completion;
}

std::vector<TestTensor> ServerEnd::Outputs(const ipc::CompletionEntry& completion) const {
  const absl::Span<const std::byte> arena(output_.data(), options_.output_arena_bytes);
  const auto record = ipc::ReadRecord(arena, completion.record_offset, completion.record_bytes);
  REQUIRE(record.ok());
  std::vector<TestTensor> outputs;
  for (const ipc::ArenaTensor& tensor : *record) {
    CHECK(tensor.offset % ipc::kTensorAlignment == 0);
    const std::byte* const from = output_.data() + tensor.offset;
    outputs.push_back({tensor.name, tensor.type, tensor.shape,
                       std::vector<std::byte>(from, from + tensor.bytes)});
  }
  return outputs;
}

std::string ServerEnd::ErrorText(const ipc::CompletionEntry& completion) const {
  REQUIRE(completion.output_slot != ipc::kNoSlot);
  return {reinterpret_cast<const char*>(output_.data()) + completion.record_offset,
          completion.record_bytes};
}

void ServerEnd::Release(const ipc::CompletionEntry& completion) {
  region()->board.released[completion.output_slot].store(1, std::memory_order_release);
  region()->board.bell.Ring();
}

void ServerEnd::Shutdown() {
  v1::ToWorker message;
  message.mutable_shutdown();
  Send(message);
}

absl::Status ServerEnd::Join() {
  thread_.join();
  return status_;
}

absl::Status ServerEnd::AwaitBroken() {
  std::unique_lock lock(mutex_);
  REQUIRE(broke_.wait_for(lock, kReceivePatience, [this] { return broken_.has_value(); }));
  return *broken_;
}

}  // namespace tandem::worker
