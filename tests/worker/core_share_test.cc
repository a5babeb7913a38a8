#include "backends/worker/core_share.h"

#include <chrono>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

using std::chrono::milliseconds;

// Looks of a thread that computes for so much of each 10 ms.
class Looks {
 public:
  Looks() { share_.Begin(now_, computed_); }

  bool After(milliseconds computed) {
    now_ += milliseconds(10);
    computed_ += computed;
    return share_.Look(now_, computed_);
  }

  void Pause(milliseconds passed) {
    now_ += passed;
    share_.Begin(now_, computed_);
  }

 private:
  CoreShare::Time now_{std::chrono::hours(1)};
  std::chrono::nanoseconds computed_{std::chrono::seconds(5)};
  CoreShare share_;
};

TEST_CASE("A thread that has half of its core has a fourth", "[core_share]") {
  Looks looks;
  for (int i = 0; i < 100; ++i) CHECK(looks.After(milliseconds(5)));
}

TEST_CASE("A thread that has a tenth of its core has no fourth, and is told so at once",
          "[core_share]") {
  Looks looks;
  for (int i = 0; i < 100; ++i) CHECK_FALSE(looks.After(milliseconds(1)));
}

TEST_CASE("A share is that of the last looks", "[core_share]") {
  Looks looks;
  for (int i = 0; i < 100; ++i) looks.After(milliseconds(10));
  // One look that waited does not count for all.
  CHECK(looks.After(milliseconds(0)));
  int waited = 1;
  while (looks.After(milliseconds(0))) ++waited;
  CHECK(waited < 30);
  int computed = 1;
  while (!looks.After(milliseconds(10))) ++computed;
  CHECK(computed < 30);
}

TEST_CASE("What passes between two runs does not count", "[core_share]") {
  Looks looks;
  for (int i = 0; i < 100; ++i) {
    looks.Pause(milliseconds(1000));
    CHECK(looks.After(milliseconds(10)));
  }
}

}  // namespace
}  // namespace tandem::worker
