#include <cstdint>
#include <memory>
#include <vector>

#include "backends/worker/niceness.h"
#include "backends/worker/nicer_thread.h"
#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace {
thread_local int yields = 0;
}  // namespace

// In place of the C library's: what the thread under test calls.
extern "C" int sched_yield() {
  ++yields;
  return 0;
}

namespace tandem::worker {
namespace {

// Computes for some milliseconds, operator by operator.
constexpr char kManyOperators[] = R"(
def forward(self, x: Tensor) -> Tensor:
    for i in range(2000):
        x = torch.mm(x, x)
    return x
)";

void Run(Executor& executor) {
  const std::vector<float> zeros(64 * 64);
  CHECK(RunOnce(executor, {HeldTensor::Floats({64, 64}, zeros)}).ok());
}

TEST_CASE("A thread that gives way yields between a model's operators, another does not",
          "[torch_thread]") {
  const std::unique_ptr<Runtime> runtime = MakeCpuRuntime();
  const auto executor = LoadMethods(*runtime, kManyOperators);
  REQUIRE(executor.ok());
  yields = 0;
  Run(**executor);
  CHECK(yields == 0);

  // One that has to wait for a core itself does not yield.
  bool gives_way = true;
  int yields_there = 0;
  for (int tries = 0; tries < 20 && gives_way && yields_there == 0; ++tries) {
    NicerThread thread("nicer", kNicest);
    thread.Run([&] {
      gives_way = ThreadGivesWay();
      // To wait for the task yields as well.
      yields = 0;
      Run(**executor);
      yields_there = yields;
    });
  }
  if (gives_way) {
    CHECK(yields_there > 0);
  } else {
    WARN("this kernel knows no slices: no thread gives way");
  }
}

}  // namespace
}  // namespace tandem::worker
