#include "tests/workers/scripted_worker.h"

#include <dirent.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/ipc/control_channel.h"
#include "tests/workers/behaviour.h"
#include "tests/workers/scripted_lane.h"
#include "worker.pb.h"

namespace tandem::testing {
namespace {

constexpr int kControlFd = 3;

// Open descriptors, environment and cores, so that a test can read them in the server's log.
std::string DescribeProcess() {
  std::set<int> descriptors;
  DIR* folder = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(folder)) descriptors.insert(fd);
  }
  closedir(folder);
  const char* cuda = std::getenv("CUDA_VISIBLE_DEVICES");
  const char* threads = std::getenv("OMP_NUM_THREADS");
  cpu_set_t cores;
  sched_getaffinity(0, sizeof(cores), &cores);
  return absl::StrCat("descriptors [", absl::StrJoin(descriptors, " "), "] cuda [",
                      cuda == nullptr ? "unset" : cuda, "] threads [",
                      threads == nullptr ? "unset" : threads, "] cores [", CPU_COUNT(&cores), "]");
}

class ScriptedWorker {
 public:
  explicit ScriptedWorker(std::string description)
      : channel_(ipc::UniqueFd(kControlFd)), description_(std::move(description)) {}

  int Serve(Opening opening) {
    worker::v1::ToWorker message;
    std::vector<ipc::UniqueFd> descriptors;
    while (channel_.Receive(message, descriptors).ok()) {
      if (message.has_shutdown()) return 0;
      if (opening == Opening::kSilence) continue;
      if (message.has_hello()) Greet(message.hello(), descriptors, opening);
      if (message.has_load_model()) Load(message.load_model());
      if (message.has_ping()) {
        worker::v1::FromWorker reply;
        reply.mutable_pong()->set_sequence(message.ping().sequence());
        Send(reply);
      }
    }
    return 1;
  }

 private:
  void Greet(const worker::v1::Hello& hello, std::vector<ipc::UniqueFd>& descriptors,
             Opening opening) {
    const auto map = [&descriptors](size_t i, uint64_t bytes) {
      return ipc::SharedMemory::Map(std::move(descriptors.at(i)), bytes,
                                    ipc::SharedMemory::Access::kReadWrite)
          .value();
    };
    regions_.push_back({map(0, hello.control_bytes()), map(1, hello.input_arena_bytes()),
                        map(2, hello.output_arena_bytes())});
    for (uint32_t lane = 0; lane < hello.lanes(); ++lane) {
      lanes_.emplace_back(
          regions_.front(), lane, hello.lanes(), [this](uint32_t handle) { return RunOf(handle); },
          kControlFd);
      std::thread([run = &lanes_.back()] { run->Run(); }).detach();
    }
    worker::v1::FromWorker reply;
    reply.mutable_hello()->set_protocol_version(
        opening == Opening::kOldVersion ? 0 : ipc::kProtocolVersion);
    reply.mutable_hello()->set_runtime(description_);
    reply.mutable_hello()->set_device("cpu");
    if (opening == Opening::kCannotServe) reply.mutable_hello()->set_error("there is no\nGPU");
    Send(reply);
  }

  void Load(const worker::v1::LoadModel& load) {
    const Behaviour behaviour = BehaviourOf(load.parameters());
    if (behaviour.load == "crash") _exit(7);
    if (behaviour.load == "hang") return;
    if (behaviour.load == "close_socket") {
      shutdown(kControlFd, SHUT_RDWR);
      while (true) pause();
    }
    if (behaviour.load.starts_with("eat")) eaten_.assign(size_t{512} << 20, 1);
    {
      const std::lock_guard lock(mutex_);
      runs_[load.handle()] = behaviour.run;
    }
    worker::v1::FromWorker reply;
    if (behaviour.load == "fail" || behaviour.load == "eat_and_fail") {
      reply.mutable_model_failed()->set_handle(load.handle());
      reply.mutable_model_failed()->set_reason("the file is\nno TorchScript archive");
    } else {
      worker::v1::ModelLoaded& loaded = *reply.mutable_model_loaded();
      loaded.set_handle(behaviour.load == "unasked" ? load.handle() + 1 : load.handle());
      *loaded.mutable_inputs() = load.inputs();
      *loaded.mutable_outputs() = load.outputs();
      if (behaviour.load == "notes") {
        loaded.add_notes("it runs\nwithout graphs");
        for (int i = 0; i < 20; ++i) loaded.add_notes(std::string(2000, 'x') + "too long");
      }
      if (behaviour.load == "bad_signature") {
        loaded.mutable_inputs()->Add()->set_name("x");
        for (int i = 0; i < 100; ++i) loaded.mutable_inputs()->rbegin()->add_dims(1);
      }
    }
    Send(reply);
  }

  std::string RunOf(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    return runs_[handle];
  }

  // The server may have gone; the next Receive tells.
  void Send(const worker::v1::FromWorker& message) {
    [[maybe_unused]] const absl::Status sent = channel_.Send(message);
  }

  ipc::ControlChannel channel_;
  const std::string description_;
  // At most one; in a list since its lanes keep a reference.
  std::list<Regions> regions_;
  std::list<ScriptedLane> lanes_;
  std::vector<char> eaten_;
  std::mutex mutex_;
  // Guarded by mutex_: what the parameter `run` of each model says.
  std::map<uint32_t, std::string> runs_;
};

}  // namespace

int RunScriptedWorker(Opening opening) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (opening == Opening::kExit) return 3;
  // Its lanes' threads run until the process ends: so it is left, not destroyed.
  auto* worker = new ScriptedWorker(DescribeProcess());
  _exit(worker->Serve(opening));
}

}  // namespace tandem::testing
