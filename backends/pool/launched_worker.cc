#include "backends/pool/launched_worker.h"

#include <fcntl.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "backends/ipc/region_layout.h"
#include "backends/pool/memory_node.h"

namespace tandem {
namespace {

constexpr Duration kSpin = std::chrono::microseconds(50);

std::string CudaDevices(const PoolOptions& options) {
  constexpr std::string_view kGpu = "gpu:";
  return options.device.starts_with(kGpu) ? options.device.substr(kGpu.size()) : std::string();
}

// The three regions' descriptors, to be sent and closed.
absl::StatusOr<std::vector<ipc::UniqueFd>> Descriptors(const WorkerMemory& memory) {
  std::vector<ipc::UniqueFd> descriptors;
  for (const int fd : {memory.control().fd(), memory.input().fd(), memory.output().fd()}) {
    ipc::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return absl::ErrnoToStatus(errno, "cannot copy a file descriptor");
    descriptors.push_back(std::move(copy));
  }
  return descriptors;
}

worker::v1::ToWorker HelloMessage(const PoolOptions& options, uint32_t index,
                                  const WorkerMemory& memory) {
  worker::v1::ToWorker message;
  worker::v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(ipc::kProtocolVersion);
  hello.set_pool(options.name);
  hello.set_worker(index);
  hello.set_lanes(options.lanes);
  hello.set_express_lanes(options.express_lanes);
  hello.set_nice(options.nice);
  hello.set_threads(options.threads);
  hello.set_cpu_share(options.cpu_share);
  hello.set_device_memory_bytes(options.device_memory_bytes);
  hello.set_control_bytes(memory.control().size());
  hello.set_input_arena_bytes(memory.input().size());
  hello.set_output_arena_bytes(memory.output().size());
  return message;
}

}  // namespace

absl::StatusOr<LaunchedWorker> LaunchWorker(const PoolOptions& options, uint32_t index) {
  absl::StatusOr<std::shared_ptr<WorkerMemory>> memory =
      WorkerMemory::Create(options.lanes, options.input_arena_bytes, options.output_arena_bytes);
  if (!memory.ok()) return memory.status();
  absl::StatusOr<std::vector<ipc::UniqueFd>> descriptors = Descriptors(**memory);
  if (!descriptors.ok()) return descriptors.status();
  absl::StatusOr<std::pair<ipc::ControlChannel, ipc::ControlChannel>> ends =
      ipc::ControlChannel::CreatePair();
  if (!ends.ok()) return ends.status();
  SpawnOptions spawn;
  spawn.program = options.program;
  spawn.cuda_devices = CudaDevices(options);
  spawn.threads = options.threads;
  spawn.cores = options.cores;
  // Its other threads make themselves nicer, which is always allowed; the way back is not.
  spawn.nice = options.express_lanes > 0 ? options.nice / 2 : options.nice;
  spawn.memory_node = options.memory_node;
  if (options.memory_node.has_value()) {
    for (const ipc::SharedMemory* region :
         {&(*memory)->control(), &(*memory)->input(), &(*memory)->output()}) {
      PlaceOnNode(region->data(), region->size(), *options.memory_node);
    }
  }
  spawn.control_fd = ends->second.fd();
  absl::StatusOr<WorkerProcess> process = WorkerProcess::Spawn(spawn);
  if (!process.ok()) return process.status();
  LaunchedWorker launched{*std::move(process), ControlQueue(std::move(ends->first)),
                          *std::move(memory)};
  const absl::Status greeted = launched.control.Post(HelloMessage(options, index, *launched.memory),
                                                     *std::move(descriptors));
  if (!greeted.ok()) return greeted;
  return launched;
}

// A thread that spins while others want its core makes them slower. Each lane computes on its
// threads; its worker's completion thread, the router and the network want a core as well.
Duration SpinTime(const PoolOptions& options) {
  const uint64_t cores =
      options.cores.empty() ? std::thread::hardware_concurrency() : options.cores.size();
  const uint64_t busy =
      uint64_t{options.processes} * (options.lanes - options.express_lanes) * options.threads;
  return std::thread::hardware_concurrency() > 2 && cores >= busy + 2 ? kSpin : Duration(0);
}

}  // namespace tandem
