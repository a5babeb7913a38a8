#include "server/pool_spec.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

const Machine kFourCores{{0, 1, 2, 3}, {}, {}, {0}, uint64_t{8} << 30};

absl::StatusOr<PoolSpec> ParsePool(const std::string& text) {
  const absl::StatusOr<PoolSpecFields> fields = ParsePoolFields(text);
  if (!fields.ok()) return fields.status();
  return MakePoolSpec(*fields, kFourCores);
}

void CheckPoolRefused(const std::string& text, const std::string& word) {
  CAPTURE(text);
  const absl::StatusOr<PoolSpec> pool = ParsePool(text);
  REQUIRE_FALSE(pool.ok());
  CAPTURE(std::string(pool.status().message()));
  CHECK(std::string(pool.status().message()).find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("A pool takes every key", "[pool_spec]") {
  const auto pool = ParsePool(
      "stand-in=device:cpu,serves:gpu,processes:2,lanes:3,threads:4,cores:0-1,3,"
      "input_arena:64MiB,output_arena:1GiB,memory:2GiB");
  REQUIRE(pool.ok());
  CHECK(pool->name == "stand-in");
  CHECK(pool->device == "cpu");
  CHECK(pool->serves == PoolKind::kGpu);
  CHECK(pool->processes == 2);
  CHECK(pool->lanes == 3);
  CHECK(pool->threads == 4);
  CHECK(pool->cores == std::vector<int>{0, 1, 3});
  CHECK(pool->input_arena_bytes == uint64_t{64} << 20);
  CHECK(pool->output_arena_bytes == uint64_t{1} << 30);
  CHECK(pool->memory_bytes == uint64_t{2} << 30);
}

TEST_CASE("What a pool leaves out follows from its device and its cores", "[pool_spec]") {
  const auto cpu = ParsePool("cpu=device:cpu");
  REQUIRE(cpu.ok());
  CHECK(cpu->serves == PoolKind::kCpu);
  CHECK(cpu->lanes == 4);
  CHECK(cpu->memory_bytes == 0);
  CHECK(cpu->nice == kCpuNice);
  CHECK(ParsePool("cpu=device:cpu,nice:0")->nice == 0);
  CHECK(ParsePool("gpu=device:gpu:0")->nice == 0);
  CHECK(cpu->cpu_share == 100);
  CHECK(ParsePool("cpu=device:cpu,cpu_share:30")->cpu_share == 30);
  CheckPoolRefused("cpu=cpu_share:0", "cpu_share:0: expected a number from 1 to 100");
  CheckPoolRefused("cpu=cpu_share:101", "cpu_share:101: expected a number from 1 to 100");
  CheckPoolRefused("cpu=nice:20", "nice:20: expected a number from 0 to 19");
  CheckPoolRefused("cpu=nice:-1", "nice:-1: expected a number from 0 to 19");
  CHECK(ParsePool("cpu=device:cpu,cores:1-2")->lanes == 2);
  CHECK(ParsePool("cpu=processes:2,threads:2")->lanes == 1);
  const auto gpu = ParsePool("gpu=device:gpu:0");
  REQUIRE(gpu.ok());
  CHECK(gpu->serves == PoolKind::kGpu);
  CHECK(gpu->lanes == 2);
  CHECK(gpu->device_memory_bytes == 0);
  CHECK(ParsePool("gpu=device:gpu:0,device_memory:6GiB")->device_memory_bytes == uint64_t{6} << 30);
}

TEST_CASE("A pool that cannot be is refused with key, value and choices", "[pool_spec]") {
  CheckPoolRefused("a=wheels:2", "wheels");
  CheckPoolRefused("a=memory:1KiB", "memory");
  CheckPoolRefused("a=device:gpu:0,device_memory:1KiB", "device_memory");
  CheckPoolRefused("a=device:cpu,device_memory:1GiB", "for pools on a GPU");
  CheckPoolRefused("a=device:tpu", "cpu or gpu");
  CheckPoolRefused("a=device:gpu:-1", "gpu:-1");
  CheckPoolRefused("a=serves:tpu", "cpu or gpu");
  CheckPoolRefused("a=lanes:0", "lanes:0");
  CheckPoolRefused("a=lanes:many", "many");
  CheckPoolRefused("a=cores:2-1", "2-1");
  CheckPoolRefused("a=cores:0-9", "core 4");
  CheckPoolRefused("a=input_arena:1", "input_arena:1");
  CheckPoolRefused("a=lanes:1,lanes:2", "lanes: it is given twice");
  CheckPoolRefused("a=cores:0,cores:1", "cores: it is given twice");
  CheckPoolRefused("a=cores:", "cores: its value is missing");
  CheckPoolRefused("a=lanes", "lanes: its value is missing");
  CheckPoolRefused("a=input_arena:8GiB", "8192 MiB of memory");
  CheckPoolRefused("a=processes:64,input_arena:128MiB", "24576 MiB in all");
  CheckPoolRefused("a b=device:cpu", "a b");
  CheckPoolRefused("", "pool name");
  CheckPoolRefused("..=device:cpu", "..");
}

TEST_CASE("A server that was told no pools has one for the CPU and one for each GPU", "[pool]") {
  const std::vector<PoolSpec> pools = DefaultPools({{0, 1}, {}, {}, {0, 1}, 0});
  REQUIRE(pools.size() == 3);
  CHECK(pools[0].name == "cpu");
  CHECK(pools[0].lanes == 2);
  CHECK(pools[2].name == "gpu1");
  CHECK(pools[2].device == "gpu:1");
  CHECK(pools[2].serves == PoolKind::kGpu);
}

TEST_CASE("Sizes have units, and overflow is no size", "[pool_spec]") {
  CHECK(*ParseSize("4096") == 4096);
  CHECK(*ParseSize("3KiB") == 3072);
  CHECK(*ParseSize("2TiB") == uint64_t{2} << 40);
  CHECK_FALSE(ParseSize("18446744073709551615KiB").ok());
  CHECK_FALSE(ParseSize("MiB").ok());
  CHECK_FALSE(ParseSize("12MB").ok());
  CHECK_FALSE(ParseSize("-1").ok());
}

TEST_CASE("This machine has at least one core, and memory", "[machine]") {
  CHECK_FALSE(FindMachine().cores.empty());
  CHECK(FindMachine().memory_bytes > uint64_t{64} << 20);
}

}  // namespace tandem::server
