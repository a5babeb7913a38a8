// Brings models into one worker, one after the other, again after each restart, and tells the
// router what became of them. Not thread-safe: used by the pool's supervisor thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "backends/pool/control_queue.h"
#include "backends/pool/load_plan.h"
#include "backends/pool/load_watch.h"
#include "backends/pool/model_files.h"
#include "backends/pool/pool.h"
#include "core/backend.h"

namespace tandem {

class ModelLoader {
 public:
  // `events` and `trials`, which the pool's workers share, outlive the loader. `worker`: the number
  // within the pool.
  ModelLoader(const PoolOptions& options, LaneId first_lane, BackendEvents& events,
              LoadTrials& trials, uint32_t worker);

  void Add(std::shared_ptr<const ModelVersion> model) { plan_.Add(std::move(model)); }
  // `control` is null while the worker is not ready.
  void Remove(uint32_t handle, ControlQueue* control, TimePoint now);

  // Sends the next model to the worker, if none is on its way, and tells of those that it will not
  // load, or not yet.
  void StartNext(ControlQueue& control, TimePoint now);
  bool is_loading() const { return plan_.loading().has_value(); }
  bool IsLoading(uint32_t handle) const { return plan_.IsLoading(handle); }
  // As in LoadPlan.
  std::optional<size_t> all_tried() const { return plan_.all_tried(); }
  // Whether the load that is under way is to be given up with its worker.
  LoadWatch::Verdict Judge(TimePoint now) const { return watch_.Judge(now); }
  // The model whose load has become a slow one, as in "model a version 1"; once for each load.
  std::optional<std::string> TakeSlow(TimePoint now);
  // When to ask for these two though nothing has happened.
  TimePoint next() const { return watch_.next(); }

  // INTERNAL, with what is wrong: the worker broke the protocol.
  absl::Status OnLoaded(const worker::v1::ModelLoaded& message);
  absl::Status OnFailed(const worker::v1::ModelFailed& message);

  // The worker has died; `how` as in "exited with code 1", but of kMemory as in LifeWatch::excess;
  // the others as in LoadPlan::Restart. True where a model's load is to blame and will not be tried
  // again.
  bool OnWorkerDied(TimePoint now, LoadDeath death, const std::string& how, bool served);
  void OnCannotStart() { plan_.OnCannotStart(); }

 private:
  absl::Status Send(const ModelVersion& model, ControlQueue& control);
  // Of a model that loaded when the worker died; `how` as in OnWorkerDied.
  std::string Reason(LoadDeath death, const std::string& how) const;
  absl::Status CheckIsLoading(uint32_t handle) const;
  void Fail(uint32_t handle, const absl::Status& reason);

  const PoolKind kind_;
  const LaneId first_lane_;
  const uint32_t lanes_;
  BackendEvents& events_;
  LoadPlan plan_;
  // By handle: of the models that were sent to the worker.
  std::map<uint32_t, ModelFiles> files_;
  LoadWatch watch_;
  // Of the model that loads, for the log.
  std::string loading_name_;
};

}  // namespace tandem
