#include "backends/worker/torch_thread.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <sched.h>

#include <chrono>
#include <memory>

#include "backends/worker/core_share.h"
#include "backends/worker/niceness.h"
#include "backends/worker/thread_time.h"

namespace tandem::worker {
namespace {

using std::chrono::steady_clock;

// Operators can be far shorter, and to look and to yield takes some microseconds.
constexpr std::chrono::milliseconds kBetweenLooks{1};

thread_local CoreShare share;

// A yield puts the thread behind all others of its core by a slice, which by the weights of
// niceness is a third of a second of theirs. Where they want the core for good, it is to have its
// share of it all the same.
std::unique_ptr<at::ObserverContext> BeforeOperator(const at::RecordFunction& /*function*/) {
  // Another thread of LibTorch's, that goes on with the run.
  if (!ThreadGivesWay()) return nullptr;
  const auto now = steady_clock::now();
  if (share.SinceLook(now) < kBetweenLooks) return nullptr;
  if (share.Look(now, CpuTimeOfThread())) sched_yield();
  return nullptr;
}

void YieldBetweenOperators() {
  thread_local const at::CallbackHandle callback = at::addThreadLocalCallback(
      at::RecordFunctionCallback(BeforeOperator).scopes({at::RecordScope::FUNCTION}));
  static_cast<void>(callback);
  share.Begin(steady_clock::now(), CpuTimeOfThread());
}

}  // namespace

void PrepareThread(uint32_t threads) {
  if (ThreadGivesWay()) YieldBetweenOperators();
  // Models of one lane may want different numbers, and to set one costs more than to look.
  thread_local uint32_t prepared = 0;
  if (prepared == threads) return;
  prepared = threads;
  at::set_num_threads(static_cast<int>(threads));
  // Numbers next to zero cost a hundredfold and mean nothing to a net.
  at::globalContext().setFlushDenormal(true);
}

}  // namespace tandem::worker
