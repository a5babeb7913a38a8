// Keeps the router's models what the repository holds: reads it at the start, when the operator
// asks (SIGHUP), and, where the operator allows it, when a client asks for one model. Thread-safe;
// has a thread of its own, on which the changes are made one after the other, each as soon as it is
// asked for: it may take back what an earlier one still loads. Borrows the router and the sink,
// which outlive it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log.h"
#include "router/router.h"
#include "server/model_repository.h"
#include "server/serve_options.h"

namespace tandem::server {

class ModelControl {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  using Names = std::vector<std::string>;

  ModelControl(const ServeOptions& options, Router& router, const LogSink& log);
  // Stops.
  ~ModelControl();

  // Hands the router what was read before anything listened.
  void Start(const ModelRepository& repository);

  // Reads the whole repository again, and tells the log what became of it. What a client has
  // unloaded stays so.
  void Refresh();

  // Whether clients may ask for what follows.
  bool is_open() const { return mode_ == ModelControlMode::kExplicit; }

  // Reads one model of the repository again. `done` is called once, with OK when all its versions
  // that are to be served are ready. NOT_FOUND: the repository has no such model. UNAVAILABLE, with
  // the reason: a version cannot be loaded; what was served before stays. Or the model was taken
  // away before it was loaded.
  void Load(std::string model, Done done);
  // Serves the model no more; its accepted requests end. NOT_FOUND: there is none.
  void Unload(std::string model, Done done);
  // What clients have unloaded, and not loaded again.
  Names Unloaded() const;

  // Makes no more changes; those that wait are answered UNAVAILABLE. Idempotent.
  void Stop();

 private:
  // A change, from when it is asked for until it is answered.
  struct Job {
    // Makes it, and tells which models it has to wait for.
    std::function<absl::StatusOr<Names>()> begin;
    // Called once they have been tried: what became of them.
    std::function<absl::Status()> end;
    Done done;
    // Of those models the ones that are still being loaded.
    Names loading = {};
  };
  // By model and version.
  using Snapshot = std::map<std::pair<std::string, int64_t>, ModelStatus>;

  void Add(Job job);
  void Loop();
  void Begin(Job job);
  void EndThoseLoaded();
  void End(Job& job, absl::Status status);
  absl::StatusOr<Names> ReadAll();
  absl::StatusOr<Names> ReadOne(const std::string& model);
  absl::Status Outcome(const std::string& model) const;
  absl::StatusOr<Names> Drop(const std::string& model);
  void Update(const std::string& model, const ModelRepository& repository);
  Snapshot Look() const;
  void LogChanges();

  const std::string folder_;
  const PoolKinds pools_;
  const ModelControlMode mode_;
  Router& router_;
  const LogSink& log_;
  // Used by the thread alone, after Start. The next handle that no version has had.
  uint32_t next_handle_ = 1;
  // Changes that have been made, and whose models are being loaded.
  std::list<Job> begun_;
  // The models as the log knows them, while there are such changes.
  Snapshot told_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // All guarded by mutex_. Models that clients have unloaded.
  std::set<std::string> unloaded_;
  // Those that have not begun.
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::server
