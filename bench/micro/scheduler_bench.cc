// The router's decisions for a request: its way into the queue, the choice of a lane, the batch's
// end.
#include <benchmark/benchmark.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/router/schedule_bench.h"

namespace tandem {
namespace {

// A request finds a free lane.
void ScheduleOnFreeLane(benchmark::State& state) {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  for (auto _ : state) {
    bench.Submit(model);
    for (const ScheduledBatch* batch : bench.Starts()) bench.End(batch);
  }
}
BENCHMARK(ScheduleOnFreeLane);

// As many requests as the batch takes wait for the one lane, and go when it frees up: the time is
// of one request.
void ScheduleBatchOf8(benchmark::State& state) {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  std::vector<ScheduledBatch*> running = bench.Starts();
  for (auto _ : state) {
    bench.Submit(model);
    if (bench.scheduler.queued(model) < 8) continue;
    for (const ScheduledBatch* batch : std::exchange(running, {})) bench.End(batch);
    running = bench.Starts();
  }
}
BENCHMARK(ScheduleBatchOf8);

// The lane chooses among so many models of two pools, each with a request that waits.
void ScheduleAmongModels(benchmark::State& state) {
  ScheduleBench bench({{PoolKind::kCpu, 1}, {PoolKind::kGpu, 1}});
  std::vector<uint32_t> models;
  for (int64_t i = 0; i < state.range(0); ++i) {
    ModelConfig config = BatchingModel(absl::StrCat("m", i));
    config.on_gpu = true;
    models.push_back(bench.Add(config));
  }
  for (const uint32_t model : models) bench.Submit(model);
  std::vector<ScheduledBatch*> running = bench.Starts();
  for (auto _ : state) {
    const ScheduledBatch* batch = running.back();
    running.pop_back();
    const uint32_t model = batch->model;
    bench.now += microseconds(10);
    bench.End(batch);
    bench.Submit(model);
    for (ScheduledBatch* next : bench.Starts()) running.push_back(next);
  }
}
BENCHMARK(ScheduleAmongModels)->Arg(1)->Arg(8)->Arg(64);

}  // namespace
}  // namespace tandem
