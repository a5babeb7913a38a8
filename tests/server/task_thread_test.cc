#include "server/task_thread.h"

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

TEST_CASE("Tasks are done in their order, on another thread, and none is lost", "[task_thread]") {
  std::vector<int> done;
  std::thread::id ran_on;
  std::promise<void> release;
  std::future<void> released = release.get_future();
  {
    TaskThread thread;
    thread.Do([&] {
      ran_on = std::this_thread::get_id();
      released.wait();
    });
    for (int i = 0; i < 100; ++i) {
      thread.Do([&done, i] { done.push_back(i); });
    }
    CHECK(done.empty());
    release.set_value();
  }
  CHECK(ran_on != std::this_thread::get_id());
  REQUIRE(done.size() == 100);
  CHECK(std::is_sorted(done.begin(), done.end()));
}

}  // namespace
}  // namespace tandem::server
