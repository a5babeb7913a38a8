// Brings models into one worker, one after the other, again after each restart, and tells the
// router what became of them. Not thread-safe: used by the pool's supervisor thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "backends/pool/control_queue.h"
#include "backends/pool/load_plan.h"
#include "core/backend.h"

namespace tandem {

class ModelLoader {
 public:
  // A load that takes longer is given up with its worker.
  static constexpr Duration kLongestLoad = std::chrono::minutes(10);

  // `events` and `trials`, which the pool's workers share, outlive the loader. `worker`: the number
  // within the pool.
  ModelLoader(PoolKind kind, LaneId first_lane, uint32_t lanes, BackendEvents& events,
              LoadTrials& trials, uint32_t worker);

  void Add(std::shared_ptr<const ModelVersion> model) { plan_.Add(std::move(model)); }
  // `control` is null while the worker is not ready.
  void Remove(uint32_t handle, ControlQueue* control);

  // Sends the next model to the worker, if none is on its way, and tells of those that it will not
  // load, or not yet.
  void StartNext(ControlQueue& control, TimePoint now);
  bool is_loading() const { return plan_.loading().has_value(); }
  bool IsLoading(uint32_t handle) const { return plan_.IsLoading(handle); }
  // As in LoadPlan.
  std::optional<size_t> all_tried() const { return plan_.all_tried(); }
  // When the current load is to be given up. kNever: none is under way.
  TimePoint deadline() const { return deadline_; }

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
  absl::Status CheckIsLoading(uint32_t handle) const;
  void Fail(uint32_t handle, const absl::Status& reason);

  const PoolKind kind_;
  const LaneId first_lane_;
  const uint32_t lanes_;
  BackendEvents& events_;
  LoadPlan plan_;
  TimePoint deadline_ = kNever;
};

}  // namespace tandem
