#include "tests/router/fake_backend.h"

#include <utility>

namespace tandem {
namespace {

BatchResult Echo(FakeBackend::Started batch) {
  auto owner = std::make_shared<FakeBackend::Started>(std::move(batch));
  Tensor output{"y", owner->type, owner->shape, {}};
  output.pieces.push_back(owner->bytes);
  BatchResult result;
  result.outputs.push_back(std::move(output));
  result.compute_time = std::chrono::microseconds(1);
  result.keep_alive = owner;
  return result;
}

}  // namespace

FakeBackend::FakeBackend(uint32_t pool, PoolKind kind, uint32_t lanes, Answers answers)
    : pool_(pool),
      kind_(kind),
      lane_count_(lanes),
      answers_(answers),
      name_(PoolKindName(kind)),
      worker_(name_ + "/0"),
      lanes_(lanes) {
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    in_run_.push_back(std::make_unique<std::atomic<int>>(0));
    if (answers_ == Answers::kOnThreads) {
      threads_.emplace_back([this, lane] { ServeLane(lane); });
    }
  }
}

FakeBackend::~FakeBackend() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void FakeBackend::Load(std::shared_ptr<const ModelVersion> model) {
  const bool was_up = std::exchange(up_, true);
  for (uint32_t lane = 0; lane < lane_count_; ++lane) {
    if (!was_up) events_->OnLaneUp({pool_, lane});
    events_->OnModelReady({pool_, lane}, model->handle, model->config.inputs,
                          model->config.outputs);
  }
}

absl::Status FakeBackend::Run(uint32_t lane, const Batch& batch) {
  if (in_run_[lane]->fetch_add(1) != 0) overlapped_ = true;
  Started started{
      lane, batch.id, batch.model, batch.rows, batch.member_inputs.size(), batch.next_is_soon,
      {},   {},       {}};
  for (const absl::Span<const Tensor> inputs : batch.member_inputs) {
    const size_t before = started.bytes.size();
    started.bytes.resize(before + inputs[0].byte_size());
    CopyBytes(inputs[0], started.bytes.data() + before);
    started.shape = inputs[0].shape;
    started.type = inputs[0].type;
  }
  started.shape[0] = batch.rows;
  absl::Status status;
  {
    const std::lock_guard lock(mutex_);
    if (!refusals_.empty()) {
      status = refusals_.front();
      refusals_.pop_front();
    } else {
      ++batches_;
      if (answers_ == Answers::kByHand) started_.push_back(std::move(started));
      if (answers_ == Answers::kOnThreads) lanes_[lane].push_back(std::move(started));
    }
  }
  changed_.notify_all();
  if (status.ok() && answers_ == Answers::kInRun) Finish(started);
  in_run_[lane]->fetch_sub(1);
  return status;
}

void FakeBackend::EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun&,
                               std::string reason) {
  BatchResult result;
  result.status = absl::UnavailableError(reason);
  result.death = WorkerDeath::kFromInside;
  events_->OnBatchDone({pool_, lane}, batch_id, std::move(result));
}

FakeBackend::Started FakeBackend::Next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !started_.empty(); });
  Started started = std::move(started_.front());
  started_.pop_front();
  return started;
}

size_t FakeBackend::waiting() const {
  const std::lock_guard lock(mutex_);
  return started_.size();
}

void FakeBackend::Finish(const Started& batch) { Finish(batch, Echo(batch)); }

void FakeBackend::Finish(const Started& batch, BatchResult result) {
  events_->OnBatchDone({pool_, batch.lane}, batch.id, std::move(result));
}

void FakeBackend::RefuseNext(absl::Status status) {
  const std::lock_guard lock(mutex_);
  refusals_.push_back(std::move(status));
}

void FakeBackend::LaneDown(uint32_t lane, const absl::Status& reason) {
  events_->OnLaneDown({pool_, lane}, reason);
}

void FakeBackend::ServeLane(uint32_t lane) {
  while (true) {
    Started batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !lanes_[lane].empty(); });
      if (lanes_[lane].empty()) return;
      batch = std::move(lanes_[lane].front());
      lanes_[lane].pop_front();
    }
    Finish(batch);
  }
}

}  // namespace tandem
