#include "router/circuit_breaker.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

using Verdict = CircuitBreaker::Verdict;

TEST_CASE("A model is paused when one request after the other ends its worker", "[breaker]") {
  CircuitBreaker breaker;
  for (int64_t i = 1; i < CircuitBreaker::kMostOffences; ++i) {
    CHECK_FALSE(breaker.OnOffence(kStart));
    CHECK(breaker.Judge(kStart) == Verdict::kRun);
    CHECK(breaker.has_offended());
  }
  CHECK(breaker.OnOffence(kStart));
  CHECK(breaker.Judge(kStart) == Verdict::kRefuse);
  CHECK(breaker.paused_until() == kStart + CircuitBreaker::kFirstPause);
}

TEST_CASE("One poison in a thousand requests never pauses a model", "[breaker]") {
  CircuitBreaker breaker;
  for (int poison = 0; poison < 100; ++poison) {
    breaker.OnAnswers(kStart, 999, false);
    REQUIRE_FALSE(breaker.OnOffence(kStart));
  }
}

TEST_CASE("Offences are forgotten with time", "[breaker]") {
  CircuitBreaker breaker;
  TimePoint now = kStart;
  for (int i = 0; i < 10; ++i) {
    REQUIRE_FALSE(breaker.OnOffence(now));
    now += CircuitBreaker::kMemory;
  }
  breaker.OnAnswers(now, 1, false);
  CHECK_FALSE(breaker.has_offended());
}

TEST_CASE("After a pause one request is tried", "[breaker]") {
  CircuitBreaker breaker;
  TimePoint now = kStart;
  while (!breaker.OnOffence(now)) {
  }
  // What was under way when it was paused proves nothing.
  breaker.OnAnswers(now, 1, false);
  CHECK(breaker.Judge(now) == Verdict::kRefuse);
  now = breaker.paused_until();
  CHECK(breaker.Judge(now) == Verdict::kTrial);
  CHECK(breaker.Judge(now) == Verdict::kRefuse);
  SECTION("that succeeds: the model runs again, and the next offence is one too many") {
    breaker.OnAnswers(now, 1, true);
    CHECK(breaker.Judge(now) == Verdict::kRun);
    CHECK(breaker.OnOffence(now));
  }
  SECTION("that ends its worker: the pauses grow") {
    Duration pause = CircuitBreaker::kFirstPause;
    while (pause < CircuitBreaker::kLongestPause) {
      CHECK(breaker.OnOffence(now));
      pause = std::min(2 * pause, CircuitBreaker::kLongestPause);
      CHECK(breaker.paused_until() == now + pause);
      now = breaker.paused_until();
      CHECK(breaker.Judge(now) == Verdict::kTrial);
    }
  }
  SECTION("that ends its worker, however late it came: the pause grows") {
    now += 10 * CircuitBreaker::kMemory;
    CHECK(breaker.OnOffence(now));
    CHECK(breaker.Judge(now) == Verdict::kRefuse);
  }
  SECTION("and what was started long before is answered: the offences are forgotten") {
    now += CircuitBreaker::kMemory;
    breaker.OnAnswers(now, 1, false);
    CHECK(breaker.Judge(now) == Verdict::kRun);
  }
  SECTION("that never runs: another one is tried later") {
    now = breaker.paused_until();
    CHECK(breaker.Judge(now) == Verdict::kTrial);
  }
  SECTION("that succeeds, and many after it: all is forgotten") {
    breaker.OnAnswers(now, 1, true);
    breaker.OnAnswers(now, CircuitBreaker::kMostOffences * CircuitBreaker::kAnswersForOffence,
                      false);
    CHECK_FALSE(breaker.has_offended());
    while (!breaker.OnOffence(now)) {
    }
    CHECK(breaker.paused_until() == now + CircuitBreaker::kFirstPause);
  }
}

}  // namespace
}  // namespace tandem
