// Keeps the router's models what the repository holds: reads it at the start, when the operator
// asks (SIGHUP), and, where the operator allows it, when a client asks for one model. Thread-safe;
// has a thread of its own, on which the changes are made one after the other. Borrows the router
// and the sink, which outlive it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/log.h"
#include "router/router.h"
#include "server/model_repository.h"
#include "server/serve_options.h"

namespace tandem::server {

class ModelControl {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

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
  // the reason: a version cannot be loaded; what was served before stays.
  void Load(std::string model, Done done);
  // Serves the model no more; its accepted requests end. NOT_FOUND: there is none.
  void Unload(std::string model, Done done);

  // Makes no more changes; those that wait are answered UNAVAILABLE. Idempotent.
  void Stop();

 private:
  struct Job {
    std::function<absl::Status()> run;
    Done done;
  };

  void Add(std::function<absl::Status()> run, Done done);
  void Loop();
  absl::Status ReadAll();
  absl::Status ReadOne(const std::string& model);
  absl::Status Drop(const std::string& model);
  void Update(const std::string& model, const ModelRepository& repository);
  // Returns when all versions of the models have been tried, or with UNAVAILABLE where the server
  // ends.
  absl::Status AwaitLoads(const std::vector<std::string>& models);

  const std::string folder_;
  const PoolKinds pools_;
  const ModelControlMode mode_;
  Router& router_;
  const LogSink& log_;
  // Used by the thread alone, after Start. The next handle that no version has had.
  uint32_t next_handle_ = 1;
  // Models that clients have unloaded.
  std::set<std::string> unloaded_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Both guarded by mutex_.
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::server
