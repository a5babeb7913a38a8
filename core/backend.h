// The seam between the router, which decides, and the pools, which own processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "core/model_config.h"
#include "core/tensor.h"

namespace tandem {

// An execution thread of a pool: `pool` as given to the backend at its making, `lane` counted over
// all of the pool's processes (process × lanes of a process + lane within it).
struct LaneId {
  uint32_t pool = 0;
  uint32_t lane = 0;

  friend bool operator==(const LaneId&, const LaneId&) = default;
};

// Requests of one model version that run together.
struct Batch {
  // Unique for the life of the server.
  uint64_t id = 0;
  uint32_t model_handle = 0;
  // For messages.
  std::string model;
  // Rows of all members together; 1 where the model has no batch dimension.
  int64_t rows = 1;
  // Little is in the server, and all of it short, so that the lane's next batch may come within
  // microseconds of this one's end.
  bool next_is_soon = false;
  // It is predicted to end within a fraction of a millisecond.
  bool is_short = false;
  // The members' inputs in the model's order: member_inputs[member][input]. All members have the
  // same inputs with equal types, and equal shapes but for the first dimension. An optional input
  // that is left out has type kInvalid.
  std::vector<absl::Span<const Tensor>> member_inputs;
};

// How the worker ended that held a batch.
enum class WorkerDeath : uint8_t {
  // It did not, or the server itself is ending it.
  kNone,
  // It was not for this batch: the worker had not come to it, since it stood behind another one in
  // its lane, or was ended since another one hung.
  kForAnother,
  // By a signal that anybody may send: nothing says that a batch was the reason.
  kFromOutside,
  // From inside, while it loaded a model: that, or a batch, may be the reason.
  kWhileLoading,
  // It crashed, left or broke the protocol: one of its batches may be the reason.
  kFromInside,
  // It was ended since this batch did not come to an end.
  kHung,
  // Or since one of several did not, this among them: another one may have waited for this one, or
  // this one for another.
  kHungTogether,
};

struct BatchResult {
  // RESOURCE_EXHAUSTED: no memory for it. UNAVAILABLE: the worker died or is not there; the request
  // never answered and may be tried elsewhere. INTERNAL: the model failed. INVALID_ARGUMENT: the
  // model refused its input.
  absl::Status status;
  // Set where the status is UNAVAILABLE for the worker's death.
  WorkerDeath death = WorkerDeath::kNone;
  // Outputs of the whole batch. Names as the worker gave them. Types, shapes and sizes agree with
  // each other; whether they agree with the model is for the router to check.
  std::vector<Tensor> outputs;
  // Keeps the outputs' bytes; releasing it lets the worker use their place again. Thread-safe to
  // release.
  std::shared_ptr<const void> keep_alive;
  // Time that the model ran, as the worker measured it.
  Duration compute_time{0};
  // It was too much for the memory as a whole, and the worker ran it in parts.
  bool in_parts = false;
};

// A batch that is not done within its budget.
struct Overrun {
  // Since it has had its lane for itself.
  Duration ran{0};
  Duration budget{0};
};

// What a thread finds that looks for what workers have ended.
enum class Ended : uint8_t {
  // Nothing, and nothing is about to.
  kNothing,
  // Nothing yet.
  kSoon,
  // Something; OnBatchDone was called for it.
  kSome,
};

// A run of a model before it took requests.
struct WarmUpRun {
  int64_t rows = 1;
  Duration time{0};
};

// One pool as the router sees it.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;
  virtual PoolKind kind() const = 0;
  // "cpu", "gpu:0".
  virtual std::string_view device() const = 0;
  virtual uint32_t lane_count() const = 0;
  // The lane is kept for short batches, so that they never wait behind long ones. A worker with
  // express lanes has others too.
  virtual bool is_express(uint32_t /*lane*/) const { return false; }
  // Name of the worker that the lane belongs to, as in "cpu/0".
  virtual std::string_view worker_name(uint32_t lane) const = 0;

  // Loads the version in every worker of the pool, now and after each restart. The outcome arrives
  // as OnModel….
  virtual void Load(std::shared_ptr<const ModelVersion> model) = 0;
  virtual void Unload(uint32_t model_handle) = 0;

  // Copies the members' inputs to the lane's worker and starts the batch there. Called for a lane
  // that is up and has room, by any thread, for one lane by one thread at a time. Does not block.
  // When it returns, the inputs are not needed any more. OK: OnBatchDone follows, exactly once,
  // perhaps before Run returns. Otherwise it does not follow: RESOURCE_EXHAUSTED: no room in the
  // arena at present; UNAVAILABLE: the worker has died.
  virtual absl::Status Run(uint32_t lane, const Batch& batch) = 0;

  // For a thread that is awake with other work: calls OnBatchDone for what workers have ended whose
  // batches are all short, and lets no other thread be woken for that from then on. To be called
  // again and again, and StopTaking before the thread sleeps. Any thread, without the locks that
  // OnBatchDone takes.
  virtual Ended TakeEnded() { return Ended::kNothing; }
  virtual void StopTaking() {}

  // The batch, which the lane runs, takes long: to be watched, so that EndIfItHangs can judge. Any
  // thread.
  virtual void WatchBatch(uint32_t /*lane*/, uint64_t /*batch_id*/) {}

  // Ends the lane's worker if it still holds the batch and hangs, as far as the backend can tell;
  // the batch's result then tells of that. To be called again and again until the
  // batch ends. `reason` completes "it is killed, since …", for the log and the status. Any thread;
  // does not block.
  virtual void EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun,
                            std::string reason) = 0;

  // The death that OnBatchDone tells of at this moment was brought about by a request that will not
  // run again: it makes no crash loop. From within that call.
  virtual void ExplainDeath(uint32_t /*lane*/) {}
};

// What pools tell the router. Called from the pools' threads; implementations are thread-safe and
// do not block.
class BackendEvents {
 public:
  virtual ~BackendEvents() = default;

  // The lane's worker has taken up work (it may still load models), or has gone. All batches of a
  // lane that goes down have been answered (UNAVAILABLE) before OnLaneDown.
  virtual void OnLaneUp(LaneId lane) = 0;
  virtual void OnLaneDown(LaneId lane, absl::Status reason) = 0;

  // How long runs took with which the lane's worker warmed the model up. Before OnModelReady.
  virtual void OnWarmUp(LaneId lane, uint32_t model_handle, absl::Span<const WarmUpRun> runs) = 0;
  // The lane's worker loads it later, once another worker of the pool has been able to; and it
  // begins to load it.
  virtual void OnLoadPutOff(LaneId lane, uint32_t model_handle) = 0;
  virtual void OnLoadBegun(LaneId lane, uint32_t model_handle) = 0;
  // The model can run on that lane. `inputs` and `outputs` are the signature that the worker will
  // take.
  virtual void OnModelReady(LaneId lane, uint32_t model_handle, std::vector<TensorSpec> inputs,
                            std::vector<TensorSpec> outputs) = 0;
  // The lane's worker could not load it; the reason is a sentence for people.
  virtual void OnModelFailed(LaneId lane, uint32_t model_handle, absl::Status reason) = 0;

  virtual void OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) = 0;
};

}  // namespace tandem
