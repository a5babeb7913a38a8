// The worker's end of the control socket, and the owner of all that the worker holds: the mapped
// regions, the lanes, the loader, the models.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "backends/ipc/control_channel.h"
#include "backends/ipc/shared_memory.h"
#include "backends/worker/executor.h"
#include "backends/worker/lane.h"
#include "backends/worker/model_loader.h"
#include "backends/worker/model_table.h"
#include "backends/worker/output_arena.h"
#include "worker.pb.h"

namespace tandem::worker {

// One for the life of the worker. Run is called once.
class ControlLoop {
 public:
  using RuntimeFactory = std::function<absl::StatusOr<Runtimes>(const RuntimeOptions&)>;

  // `on_broken` is called, on a lane's thread, when the shared memory makes no sense any more: end
  // the process.
  ControlLoop(ipc::ControlChannel channel, RuntimeFactory make_runtimes,
              std::function<void(const absl::Status&)> on_broken);
  // Ends the lanes after what stands in their rings. A process that has lost its server does not
  // want to wait for that, and exits without.
  ~ControlLoop();

  // Serves until the server says Shutdown (OK, and the lanes have finished). UNAVAILABLE: the
  // server has gone. INTERNAL: it broke the protocol. Otherwise: the worker cannot serve, which the
  // server has been told.
  absl::Status Run();

 private:
  using Descriptors = std::vector<ipc::UniqueFd>;

  absl::Status Greet();
  absl::Status SetUp(const v1::Hello& hello, Descriptors descriptors);
  absl::Status MapRegions(const v1::Hello& hello, Descriptors descriptors);
  // RESOURCE_EXHAUSTED where the system gives no threads.
  absl::Status StartLanes(const v1::Hello& hello);
  absl::Status Serve();
  void Send(const v1::FromWorker& message);

  ipc::ControlChannel channel_;
  const RuntimeFactory make_runtimes_;
  const std::function<void(const absl::Status&)> on_broken_;
  // The control thread and the loader both send.
  std::mutex send_mutex_;

  // In the order of making; the lanes and the loader go first.
  std::unique_ptr<ipc::SharedMemory> control_;
  std::unique_ptr<ipc::SharedMemory> input_arena_;
  std::unique_ptr<ipc::SharedMemory> output_arena_;
  Runtimes runtimes_;
  ModelTable models_;
  std::unique_ptr<OutputArena> outputs_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<ModelLoader> loader_;
};

}  // namespace tandem::worker
