// What a batch costs between the server and a worker: ring, arena, record, and the gathering of its
// inputs. One thread plays both sides.
#include <benchmark/benchmark.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backends/ipc/arena_allocator.h"
#include "backends/ipc/region_layout.h"
#include "backends/ipc/spsc_ring.h"
#include "backends/ipc/tensor_record.h"
#include "backends/pool/batch_layout.h"

namespace tandem {
namespace {

void RingPutAndTake(benchmark::State& state) {
  const auto ring = std::make_unique<ipc::SubmitRing>();
  ipc::RingProducer<ipc::SubmitRing> producer(ring.get());
  ipc::RingConsumer<ipc::SubmitRing> consumer(ring.get());
  const ipc::SubmitEntry entry{};
  ipc::SubmitEntry taken;
  for (auto _ : state) {
    benchmark::DoNotOptimize(producer.Put(entry));
    benchmark::DoNotOptimize(consumer.Take(taken));
  }
}
BENCHMARK(RingPutAndTake);

// With so many ranges out, of sizes that differ, given back in the order of their taking.
void ArenaAllocateAndFree(benchmark::State& state) {
  ipc::ArenaAllocator arena(size_t{64} << 20);
  std::deque<uint64_t> out;
  size_t turn = 0;
  for (auto _ : state) {
    if (out.size() == static_cast<size_t>(state.range(0))) {
      arena.Free(out.front());
      out.pop_front();
    }
    const auto offset = arena.Allocate(256 + turn++ % 7 * 1000);
    if (!offset.has_value()) {
      state.SkipWithError("the arena is full");
      break;
    }
    out.push_back(*offset);
  }
}
BENCHMARK(ArenaAllocateAndFree)->Arg(1)->Arg(16)->Arg(256);

Batch OneInput(const Tensor& tensor, int64_t members) {
  Batch batch;
  batch.model = "model";
  batch.rows = members;
  for (int64_t i = 0; i < members; ++i) batch.member_inputs.emplace_back(&tensor, 1);
  return batch;
}

// Plans and gathers a batch of `members` requests with one tensor of `bytes` each.
void GatherBatch(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(1)), '\0');
  Tensor tensor{
      "INPUT0", DataType::kFp32, {1, state.range(1) / static_cast<int64_t>(sizeof(float))}, {}};
  tensor.pieces.emplace_back(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  const Batch batch = OneInput(tensor, state.range(0));
  std::vector<std::byte> arena(size_t{16} << 20);
  for (auto _ : state) {
    const absl::StatusOr<BatchLayout> layout = BatchLayout::Plan(batch);
    layout->Write(batch, 0, arena.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0) *
                          state.range(1));
}
BENCHMARK(GatherBatch)->Args({1, 16})->Args({8, 16})->Args({1, 600'000})->Args({8, 600'000});

// What the worker does for each batch, and the server for its answer.
void ReadRecord(benchmark::State& state) {
  const std::string bytes(16, '\0');
  Tensor tensor{"INPUT0", DataType::kFp32, {1, 4}, {}};
  tensor.pieces.emplace_back(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  const Batch batch = OneInput(tensor, 1);
  std::vector<std::byte> arena(4096);
  const absl::StatusOr<BatchLayout> layout = BatchLayout::Plan(batch);
  layout->Write(batch, 0, arena.data());
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ipc::ReadRecord(absl::MakeSpan(arena), 0, layout->record_bytes()).ok());
  }
}
BENCHMARK(ReadRecord);

}  // namespace
}  // namespace tandem
