#include "server/memory_budget.h"

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/support/catch.h"

namespace tandem::server {

TEST_CASE("What others have taken is not given", "[memory_budget]") {
  MemoryBudget budget(10);
  MemoryBudget::Share one(budget);
  CHECK(one.TryTake(6));
  {
    MemoryBudget::Share other(budget);
    CHECK_FALSE(other.TryTake(5));
    CHECK(other.TryTake(4));
    CHECK_FALSE(one.TryTake(1));
  }
  CHECK(one.TryTake(4));
  one.GiveBack();
  CHECK(one.TryTake(10));
}

TEST_CASE("Who is alone may take more than all", "[memory_budget]") {
  MemoryBudget budget(10);
  MemoryBudget::Share one(budget);
  CHECK(one.TryTake(11));
  MemoryBudget::Share other(budget);
  CHECK_FALSE(other.TryTake(1));
}

TEST_CASE("Who waits for a part has it when others have given theirs back", "[memory_budget]") {
  MemoryBudget budget(10);
  MemoryBudget::Share one(budget);
  REQUIRE(one.TryTake(6));
  absl::Notification taken;
  std::thread waits([&] {
    MemoryBudget::Share other(budget);
    other.Take(5);
    taken.Notify();
  });
  CHECK_FALSE(taken.HasBeenNotified());
  one.GiveBack();
  taken.WaitForNotification();
  waits.join();
}

}  // namespace tandem::server
