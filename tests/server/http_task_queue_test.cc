#include "server/http_task_queue.h"

#include <atomic>
#include <future>
#include <mutex>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

TEST_CASE("Jobs that wait for their clients keep no other from being done", "[http]") {
  HttpTaskQueue queue(2, 100);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> done{0};
  for (int i = 0; i < 99; ++i) {
    queue.enqueue([&] {
      released.wait();
      ++done;
    });
  }
  std::promise<void> served;
  queue.enqueue([&] { served.set_value(); });
  served.get_future().wait();
  CHECK(done == 0);
  CHECK(queue.threads() <= 100);
  release.set_value();
  queue.shutdown(std::chrono::minutes(1), [] { FAIL(); });
  CHECK(done == 99);
  CHECK(queue.threads() == 0);
}

TEST_CASE("There are no more threads than the bound, and no job is lost", "[http]") {
  HttpTaskQueue queue(1, 3);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> done{0};
  for (int i = 0; i < 10; ++i) {
    queue.enqueue([&] {
      released.wait();
      ++done;
    });
  }
  CHECK(queue.threads() == 3);
  release.set_value();
  queue.shutdown(std::chrono::minutes(1), [] { FAIL(); });
  CHECK(done == 10);
}

TEST_CASE("The queue tells how many jobs wait, once all threads are taken", "[http]") {
  std::mutex mutex;
  std::vector<size_t> told;
  HttpTaskQueue queue(2, 2, [&](size_t waiting) {
    const std::lock_guard lock(mutex);
    told.push_back(waiting);
  });
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  // Also while the threads are being started.
  for (int i = 0; i < 2; ++i) queue.enqueue([&] { released.wait(); });
  CHECK(told.empty());
  for (int i = 0; i < 3; ++i) queue.enqueue([] {});
  {
    const std::lock_guard lock(mutex);
    REQUIRE(told.size() >= 3);
    // The first two may have waited for their threads yet.
    CHECK(told.back() >= 3);
  }
  release.set_value();
  queue.shutdown(std::chrono::minutes(1), [] { FAIL(); });
  CHECK(told.back() == 0);
}

TEST_CASE("Jobs that do not end in time can be hurried on", "[http]") {
  HttpTaskQueue queue(1, 3);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  for (int i = 0; i < 2; ++i) queue.enqueue([&] { released.wait(); });
  queue.shutdown(std::chrono::milliseconds(1), [&] { release.set_value(); });
  CHECK(queue.threads() == 0);
}

TEST_CASE("Threads that are not needed any more end", "[http]") {
  HttpTaskQueue queue(1, 10);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  for (int i = 0; i < 10; ++i) queue.enqueue([&] { released.wait(); });
  CHECK(queue.threads() == 10);
  release.set_value();
  while (queue.threads() > 1) std::this_thread::yield();
  queue.shutdown(std::chrono::minutes(1), [] { FAIL(); });
}

}  // namespace
}  // namespace tandem::server
