#include "server/pool_setup.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/match.h"

namespace tandem::server {
namespace {

// A worker's program: named by the environment, or beside this program.
std::string WorkerProgram(bool gpu) {
  const char* named = std::getenv(gpu ? "TANDEM_WORKER_CUDA" : "TANDEM_WORKER");
  if (named != nullptr) return named;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / (gpu ? "tandem-worker-cuda" : "tandem-worker")).string();
}

}  // namespace

PoolOptions MakePoolOptions(const PoolSpec& spec, const ServeOptions& serve) {
  PoolOptions options;
  options.name = spec.name;
  options.kind = spec.serves;
  options.device = spec.device;
  options.processes = spec.processes;
  options.lanes = spec.lanes + spec.express;
  options.express_lanes = spec.express;
  options.threads = spec.threads;
  options.cores = spec.cores;
  options.input_arena_bytes = spec.input_arena_bytes;
  options.output_arena_bytes = spec.output_arena_bytes;
  options.memory_limit_bytes = spec.memory_bytes;
  options.device_memory_bytes = spec.device_memory_bytes;
  options.load_timeout = serve.load_timeout;
  options.nice = spec.nice;
  options.cpu_share = spec.cpu_share;
  options.memory_node = spec.memory_node;
  options.program = WorkerProgram(absl::StartsWith(spec.device, "gpu"));
  return options;
}

PoolReport ReportOf(const Pool& pool) {
  PoolReport report{std::string(pool.name()), pool.kind(), std::string(pool.device()), {}};
  for (const WorkerStatus& status : pool.Status()) {
    report.workers.push_back({status.name, Name(status.state), status.pid, status.lanes,
                              status.restarts, status.last_exit, status.input_arena_used,
                              status.input_arena_bytes});
  }
  return report;
}

}  // namespace tandem::server
