#include "server/core_plan.h"

#include <numeric>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

// A machine whose physical cores have two threads each: core i and core i + half.
Machine TwoThreadsACore(int cores, int gpus = 0) {
  Machine machine;
  machine.cores.resize(static_cast<size_t>(cores));
  std::iota(machine.cores.begin(), machine.cores.end(), 0);
  for (const int core : machine.cores) machine.physical_cores.push_back(core % (cores / 2));
  machine.gpus.resize(static_cast<size_t>(gpus));
  std::iota(machine.gpus.begin(), machine.gpus.end(), 0);
  return machine;
}

}  // namespace

TEST_CASE("On few cores the front end shares them all with the pools", "[core_plan]") {
  const Machine machine = TwoThreadsACore(4, 1);
  CHECK(PlanFrontEnd(machine, 1).empty());
  for (const PoolSpec& pool : PlanPools(machine, {})) CHECK(pool.cores.empty());
}

TEST_CASE("On many cores the front end gets whole ones, and the CPU pool the rest", "[core_plan]") {
  const Machine machine = TwoThreadsACore(16, 1);
  const std::vector<int> front_end = PlanFrontEnd(machine, 1);
  CHECK(CoresText(front_end) == "0-1,8-9");
  const std::vector<PoolSpec> pools = PlanPools(machine, front_end);
  REQUIRE(pools.size() == 2);
  CHECK(CoresText(pools[0].cores) == "2-7,10-15");
  CHECK(pools[0].lanes == 12);
  // What feeds the GPU runs beside the front end, not behind the CPU pool's models.
  CHECK(pools[1].cores == front_end);
  CHECK(pools[0].nice == kCpuNice);
  CHECK(pools[1].nice == 0);
}

TEST_CASE("The front end never takes more than half of the cores", "[core_plan]") {
  CHECK(PlanFrontEnd(TwoThreadsACore(8, 8), 8).size() == 4);
}

TEST_CASE("A pool's memory lies on the node of its cores, if that is one", "[core_plan]") {
  Machine machine;
  machine.cores = {0, 1, 2, 3};
  machine.nodes = {0, 0, 1, 1};
  CHECK(NodeOfAll(machine, {2, 3}) == 1);
  CHECK(NodeOfAll(machine, {1, 2}) == std::nullopt);
  CHECK(NodeOfAll(machine, {}) == std::nullopt);
  machine.nodes = {0, 0, 0, 0};
  CHECK(NodeOfAll(machine, {2, 3}) == std::nullopt);
}

TEST_CASE("Where the front end has all cores, the others are all as well", "[core_plan]") {
  Machine machine;
  machine.cores = {0, 1};
  CHECK(OtherCores(machine, {0}) == std::vector<int>{1});
  CHECK(OtherCores(machine, {0, 1}) == std::vector<int>{0, 1});
}

TEST_CASE("The table at start has a row for the front end and each pool", "[core_plan]") {
  ServeOptions options;
  options.machine_cores = {0, 1, 2, 3};
  options.front_end_cores = {0};
  PoolSpec pool;
  pool.name = "cpu";
  pool.lanes = 3;
  pool.nice = 10;
  pool.cores = {1, 2, 3};
  options.pools = {pool};
  const std::vector<std::string> rows = MachineTable(options);
  REQUIRE(rows.size() == 3);
  CHECK(rows[1].find("(front end)") == 0);
  CHECK(rows[1].substr(rows[1].rfind(' ') + 1) == "0");
  CHECK(rows[2].find("cpu") == 0);
  CHECK(rows[2].substr(rows[2].rfind(' ') + 1) == "1-3");
}

TEST_CASE("Threads for gRPC follow the front end's cores, within bounds", "[core_plan]") {
  const auto threads = [](size_t own, size_t all) {
    ServeOptions options;
    options.front_end_cores.resize(own);
    options.machine_cores.resize(all);
    return PlanGrpcThreads(options);
  };
  CHECK(threads(0, 2) == 1);
  CHECK(threads(0, 32) == 4);
  CHECK(threads(2, 16) == 1);
  CHECK(threads(4, 16) == 2);
  CHECK(threads(64, 128) == 8);
}

}  // namespace tandem::server
