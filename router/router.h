// Takes requests, decides where and with whom each runs, and answers them. The thread-safe edge of
// the router: the decisions are made by pure parts behind it (scheduler.h, batch_queue.h,
// placement_policy.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "core/model_config.h"
#include "router/catalog.h"
#include "router/quarantine.h"

namespace tandem {

struct RouterOptions {
  // Requests of one model version that may wait; the next is refused with RESOURCE_EXHAUSTED.
  uint32_t max_queue_length = 1024;
  // Bytes of inputs of all requests that wait or run.
  uint64_t max_bytes_in_flight = uint64_t{1} << 30;
  // How long requests wait for a dead worker's successor where no other can run them.
  Duration restart_patience = std::chrono::seconds(10);
  // How long a request that ended two workers is refused. 0: not at all.
  Duration quarantine = std::chrono::minutes(10);
  // Bytes of inputs of one model version that may wait.
  uint64_t max_queue_bytes = uint64_t{512} << 20;
};

// What happened to one request; for metrics.
struct RequestRecord {
  const std::string& model;
  int64_t version;
  const absl::Status& status;
  // Empty pool: it never ran.
  const Placement& placement;
  // From arrival to answer.
  Duration total_time;
};

// Hears of each answered request and each batch. Thread-safe, fast.
class RouterObserver {
 public:
  virtual ~RouterObserver() = default;
  virtual void OnRequestDone(const RequestRecord& record) = 0;
  virtual void OnBatchDone(const std::string& model, int64_t version,
                           const Placement& placement) = 0;
  // A request whose worker died runs again.
  virtual void OnRetry(const std::string& model, int64_t version) = 0;
  // A request is refused from now on, with those like it: it was in a worker when that ended, for
  // the second time. `how`: for the operator.
  virtual void OnCondemned(const std::string& /*model*/, int64_t /*version*/,
                           const std::string& /*how*/) {}
  // A batch of the model was too much for the pool's memory, and was run in parts.
  virtual void OnBatchSplit(const std::string& /*model*/, int64_t /*version*/,
                            std::string_view /*pool*/) {}
  // The model's requests ended so many workers that it is refused for that time.
  virtual void OnPause(const std::string& model, int64_t version, Duration pause) = 0;
};

struct RouterGauges {
  uint64_t bytes_in_flight = 0;
  uint64_t requests_in_flight = 0;
  // Requests that are refused since they ended two workers.
  uint64_t quarantined = 0;
};

class Router : public BackendEvents {
 public:
  // A request, and who is told its answer.
  struct Submission {
    std::unique_ptr<InferRequest> request;
    ResponseCallback done;
  };

  // `clock` and `observer` outlive the router. Starts one thread, for deadlines and queue delays.
  Router(const Clock& clock, RouterOptions options, RouterObserver& observer);
  // All backends have been stopped before.
  ~Router() override;

  // Makes a pool known. Its LaneId::pool is the number of pools before it. Before any AddModel.
  void AddBackend(Backend& backend);

  // Asks the pools of the model's kinds to load it. FAILED_PRECONDITION, naming the kinds and the
  // pools that there are, where no pool serves it; the version is then listed as unavailable.
  absl::Status AddModel(std::shared_ptr<const ModelVersion> model);

  // Lists a version that could not be read, so that its users learn why.
  void AddUnusable(std::string name, int64_t version, std::string reason);

  // Makes the model what the update says, without a request that is refused: new versions are
  // loaded beside the old ones, and a request that names none goes to the new one once it has been
  // tried on all lanes and is ready. Then the old one is unloaded, when its last request has been
  // answered. Where a new one cannot be loaded the old one stays. One caller at a time.
  void UpdateModel(const ModelUpdate& update);
  // Some version of the model is being loaded since an update.
  bool IsArriving(const std::string& model) const;
  // The models that are listed.
  std::vector<std::string> ModelNames() const;

  // What an earlier run of the server has learnt of a model's times on a pool, but for its errors.
  // Nothing happens where there is no such model or pool.
  void SeedCost(const std::string& model, int64_t version, const PoolCost& learnt);

  // Runs a request; `done` is called exactly once, perhaps before Submit returns. Statuses:
  // NOT_FOUND no such model or version; UNAVAILABLE not loaded, or no worker; INVALID_ARGUMENT
  // inputs that do not fit the model, or a pool that it is not on; RESOURCE_EXHAUSTED queue or
  // memory full; DEADLINE_EXCEEDED; CANCELLED; INTERNAL.
  void Submit(std::unique_ptr<InferRequest> request, ResponseCallback done);
  // Requests that have come together: all of them wait before the first batch is made.
  void Submit(std::vector<Submission> burst);

  // A request that was refused before it could be submitted, as one that cannot be decoded: it is
  // counted, as of no model.
  void NoteRefused(const absl::Status& status);

  // For a thread that is awake with other work, as the front end's are: does what
  // Backend::TakeEnded says for all pools, so that `done` of requests may be called. StopTaking
  // before it sleeps.
  Ended TakeEnded();
  void StopTaking();
  // A batch runs that is not Batch::is_short. Then whoever looks for something and yields in
  // between may not get its core back for long.
  bool HasLongBatch() const;

  // Every version, by name and number. NOT_FOUND for a name or version (-1: the latest) that is not
  // served.
  std::vector<ModelStatus> Models() const;
  absl::StatusOr<ModelStatus> FindModel(const std::string& name, int64_t version) const;

  // True when each pool can run each of its models, but those that it cannot load. What joins a
  // running server does not count.
  bool AllModelsSettled() const;

  // False while all workers that could run some model are down, or still load it. Models that no
  // pool will ever run do not count.
  bool AllModelsHaveLanes() const;

  RouterGauges Gauges() const;

  // For the requests that come from now on.
  void SetLimits(RouterOptions limits);
  // Requests that are refused since they ended two workers.
  std::vector<QuarantinedRequest> Quarantined() const;
  // Forgets them; returns how many they were.
  size_t ClearQuarantine();

  // Refuses new requests with UNAVAILABLE from now on, and returns when all accepted ones are
  // answered or `timeout` has passed (then the waiting ones are answered UNAVAILABLE). True if all
  // ran.
  bool Drain(Duration timeout);

  // BackendEvents.
  void OnLaneUp(LaneId lane) override;
  void OnLaneDown(LaneId lane, absl::Status reason) override;
  void OnWarmUp(LaneId lane, uint32_t model_handle, absl::Span<const WarmUpRun> runs) override;
  void OnLoadPutOff(LaneId lane, uint32_t model_handle) override;
  void OnLoadBegun(LaneId lane, uint32_t model_handle) override;
  void OnModelReady(LaneId lane, uint32_t model_handle, std::vector<TensorSpec> inputs,
                    std::vector<TensorSpec> outputs) override;
  void OnModelFailed(LaneId lane, uint32_t model_handle, absl::Status reason) override;
  void OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) override;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace tandem
