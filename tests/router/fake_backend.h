// A pool without processes: tells the router what the test wants it to hear, and answers batches by
// echoing input 0 as output "y". Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/backend.h"

namespace tandem {

class FakeBackend : public Backend {
 public:
  enum class Answers {
    // The test answers, with Finish.
    kByHand,
    // Run answers before it returns.
    kInRun,
    // A thread per lane answers.
    kOnThreads,
  };

  FakeBackend(uint32_t pool, PoolKind kind, uint32_t lanes, Answers answers);
  ~FakeBackend() override;

  // Before anything else. `events` outlives the backend's use.
  void Attach(BackendEvents& events) { events_ = &events; }

  std::string_view name() const override { return name_; }
  PoolKind kind() const override { return kind_; }
  std::string_view device() const override { return name_; }
  uint32_t lane_count() const override { return lane_count_; }
  std::string_view worker_name(uint32_t) const override { return worker_; }
  // Brings all lanes up if they are not, and says that the model is ready on each.
  void Load(std::shared_ptr<const ModelVersion> model) override;
  void Unload(uint32_t) override {}
  absl::Status Run(uint32_t lane, const Batch& batch) override;
  // Answers the batch, which nobody else answers then, as if its worker had been killed.
  void EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun,
                    std::string reason) override;

  // A batch that was started and not answered.
  struct Started {
    uint32_t lane = 0;
    uint64_t id = 0;
    std::string model;
    int64_t rows = 0;
    size_t members = 0;
    bool next_is_soon = false;
    // Input 0 of all members, one after the other.
    std::vector<std::byte> bytes;
    Shape shape;
    DataType type = DataType::kInvalid;
  };

  // Waits for the next batch to be started, and takes it.
  Started Next();
  size_t waiting() const;
  void Finish(const Started& batch);
  void Finish(const Started& batch, BatchResult result);
  // What the next calls of Run return instead of starting the batch.
  void RefuseNext(absl::Status status);
  void LaneDown(uint32_t lane, const absl::Status& reason);

  // True if Run was ever called for one lane by two threads at a time.
  bool overlapped() const { return overlapped_; }
  uint64_t batches() const { return batches_; }

 private:
  void ServeLane(uint32_t lane);

  const uint32_t pool_;
  const PoolKind kind_;
  const uint32_t lane_count_;
  const Answers answers_;
  const std::string name_;
  const std::string worker_;
  BackendEvents* events_ = nullptr;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool up_ = false;
  bool stopping_ = false;
  std::deque<Started> started_;
  std::vector<std::deque<Started>> lanes_;
  std::deque<absl::Status> refusals_;
  std::vector<std::unique_ptr<std::atomic<int>>> in_run_;
  std::atomic<bool> overlapped_{false};
  std::atomic<uint64_t> batches_{0};
  std::vector<std::thread> threads_;
};

}  // namespace tandem
