#include "backends/worker/control_loop.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/ipc/region_layout.h"
#include "backends/worker/niceness.h"

namespace tandem::worker {
namespace {

// An arena above it is a mistake: offsets and sums of sizes stay far from overflow below it.
constexpr uint64_t kMostArenaBytes = uint64_t{1} << 40;

// Heavy batches stand as far behind the others as those behind nobody.
uint32_t HeavyNiceness(uint32_t nice) { return std::min(2 * nice, kNicest); }

absl::Status CheckHello(const v1::Hello& hello, size_t descriptors) {
  if (hello.protocol_version() != ipc::kProtocolVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server speaks version ", hello.protocol_version(),
                     " of the worker protocol, this worker version ", ipc::kProtocolVersion,
                     "; install both programs from the same build"));
  }
  if (descriptors != 3) {
    return absl::InternalError(
        absl::StrCat("expected 3 regions with the greeting, got ", descriptors));
  }
  if (hello.lanes() == 0 || hello.lanes() > ipc::kMaxLanes) {
    return absl::InvalidArgumentError(absl::StrCat("a worker has 1 to ", ipc::kMaxLanes,
                                                   " lanes; the server asked for ", hello.lanes()));
  }
  if (hello.express_lanes() >= hello.lanes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "at least one of ", hello.lanes(), " lanes is none for express; the server asked for ",
        hello.express_lanes(), " express lanes"));
  }
  if (hello.threads() == 0) {
    return absl::InvalidArgumentError("a lane has at least 1 thread; the server asked for 0");
  }
  if (hello.control_bytes() < ipc::ControlRegionBytes(hello.lanes())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the control region of ", hello.lanes(), " lanes takes ",
                     ipc::ControlRegionBytes(hello.lanes()), " bytes; the server announced ",
                     hello.control_bytes()));
  }
  for (const uint64_t bytes : {hello.input_arena_bytes(), hello.output_arena_bytes()}) {
    if (bytes == 0 || bytes > kMostArenaBytes) {
      return absl::InvalidArgumentError(absl::StrCat("an arena has 1 to ", kMostArenaBytes,
                                                     " bytes; the server announced ", bytes));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ipc::SharedMemory>> MapRegion(ipc::UniqueFd fd, uint64_t bytes) {
  absl::StatusOr<ipc::SharedMemory> region =
      ipc::SharedMemory::Map(std::move(fd), bytes, ipc::SharedMemory::Access::kReadWrite);
  if (!region.ok()) return region.status();
  return std::make_unique<ipc::SharedMemory>(*std::move(region));
}

}  // namespace

ControlLoop::ControlLoop(ipc::ControlChannel channel, RuntimeFactory make_runtimes,
                         std::function<void(const absl::Status&)> on_broken)
    : channel_(std::move(channel)),
      make_runtimes_(std::move(make_runtimes)),
      on_broken_(std::move(on_broken)) {}

ControlLoop::~ControlLoop() = default;

absl::Status ControlLoop::Run() {
  if (absl::Status status = Greet(); !status.ok()) return status;
  absl::Status status = Serve();
  if (!status.ok()) return status;
  loader_.reset();
  lanes_.clear();
  return absl::OkStatus();
}

absl::Status ControlLoop::Greet() {
  v1::ToWorker message;
  Descriptors descriptors;
  if (absl::Status status = channel_.Receive(message, descriptors); !status.ok()) return status;
  if (!message.has_hello()) return absl::InternalError("the server's first message is no greeting");
  absl::Status ready = SetUp(message.hello(), std::move(descriptors));
  if (ready.ok()) ready = StartLanes(message.hello());
  v1::FromWorker reply;
  v1::HelloReply& hello = *reply.mutable_hello();
  hello.set_protocol_version(ipc::kProtocolVersion);
  hello.set_runtime(runtimes_.description);
  hello.set_device(runtimes_.device);
  if (!ready.ok()) hello.set_error(std::string(ready.message()));
  // The server hears of nothing else first: lanes and loader speak when they are spoken to.
  Send(reply);
  return ready;
}

absl::Status ControlLoop::SetUp(const v1::Hello& hello, Descriptors descriptors) {
  if (absl::Status status = CheckHello(hello, descriptors.size()); !status.ok()) return status;
  if (absl::Status status = MapRegions(hello, std::move(descriptors)); !status.ok()) return status;
  RuntimeOptions options;
  options.threads = hello.threads();
  options.device_memory_bytes = hello.device_memory_bytes();
  for (const auto* arena : {input_arena_.get(), output_arena_.get()}) {
    options.arenas.push_back(absl::MakeSpan(arena->data(), arena->size()));
  }
  absl::StatusOr<Runtimes> runtimes = make_runtimes_(options);
  if (!runtimes.ok()) return runtimes.status();
  runtimes_ = *std::move(runtimes);
  return absl::OkStatus();
}

absl::Status ControlLoop::MapRegions(const v1::Hello& hello, Descriptors descriptors) {
  auto control = MapRegion(std::move(descriptors[0]), hello.control_bytes());
  if (!control.ok()) return control.status();
  auto input = MapRegion(std::move(descriptors[1]), hello.input_arena_bytes());
  if (!input.ok()) return input.status();
  auto output = MapRegion(std::move(descriptors[2]), hello.output_arena_bytes());
  if (!output.ok()) return output.status();
  control_ = *std::move(control);
  input_arena_ = *std::move(input);
  output_arena_ = *std::move(output);
  return absl::OkStatus();
}

absl::Status ControlLoop::StartLanes(const v1::Hello& hello) {
  ipc::ControlRegion* const region = ipc::RegionAt(control_->data());
  // The announced size, not the mapping's whole pages: both sides must agree on where the arena
  // ends.
  outputs_ = std::make_unique<OutputArena>(
      absl::MakeSpan(output_arena_->data(), hello.output_arena_bytes()), &region->board);
  const LaneSurroundings surroundings = {
      region,
      absl::MakeSpan(input_arena_->data(), hello.input_arena_bytes()),
      outputs_.get(),
      &models_,
      hello.cpu_share() == 0 ? 100U : std::min(hello.cpu_share(), 100U),
      hello.lanes() - hello.express_lanes(),
      hello.nice(),
      HeavyNiceness(hello.nice()),
      on_broken_,
  };
  try {
    for (uint32_t i = 0; i < hello.lanes(); ++i) {
      lanes_.push_back(std::make_unique<Lane>(i, ipc::LaneAt(control_->data(), i), surroundings));
    }
    loader_ = std::make_unique<ModelLoader>(
        runtimes_, models_, hello.lanes(), hello.threads(), hello.nice(),
        [this](const v1::FromWorker& message) { Send(message); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system gives it no threads: ", error.code().message()));
  }
  return absl::OkStatus();
}

absl::Status ControlLoop::Serve() {
  while (true) {
    v1::ToWorker message;
    Descriptors descriptors;
    if (absl::Status status = channel_.Receive(message, descriptors); !status.ok()) return status;
    switch (message.message_case()) {
      case v1::ToWorker::kPing: {
        v1::FromWorker pong;
        pong.mutable_pong()->set_sequence(message.ping().sequence());
        Send(pong);
        break;
      }
      case v1::ToWorker::kLoadModel:
        loader_->Load(std::move(*message.mutable_load_model()), std::move(descriptors));
        break;
      case v1::ToWorker::kUnloadModel:
        loader_->Unload(message.unload_model().handle());
        break;
      case v1::ToWorker::kShutdown:
        return absl::OkStatus();
      case v1::ToWorker::kHello:
        return absl::InternalError("the server greeted twice");
      case v1::ToWorker::MESSAGE_NOT_SET:
        return absl::InternalError("the server sent a message that this worker does not know");
    }
  }
}

void ControlLoop::Send(const v1::FromWorker& message) {
  const std::lock_guard lock(send_mutex_);
  // A failure needs no answer here: it means that the server has gone, which Receive is about to
  // say.
  channel_.Send(message).IgnoreError();
}

}  // namespace tandem::worker
