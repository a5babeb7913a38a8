// Batches through the rings, as a server would send them.
#include "backends/worker/lane.h"

#include "tests/support/catch.h"
#include "tests/worker/server_end.h"

namespace tandem::worker {
namespace {

absl::StatusCode Code(const ipc::CompletionEntry& completion) {
  return static_cast<absl::StatusCode>(completion.status_code);
}

TEST_CASE("A lane runs a batch and describes its outputs", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.LoadSynthetic(7, {{"alpha_us", "100"}});
  server.Submit(0, 42, 7, {FloatTensor("INPUT__0", {1, 2, 3}, {1, 3})});
  const ipc::CompletionEntry completion = server.AwaitCompletion(0);
  CHECK(completion.batch_id == 42);
  REQUIRE(Code(completion) == absl::StatusCode::kOk);
  CHECK(completion.compute_ns >= 100'000);
  CHECK(server.Outputs(completion) ==
        std::vector<TestTensor>{FloatTensor("OUTPUT__0", {1, 2, 3}, {1, 3})});
}

TEST_CASE("A lane answers its batches in order, more of them than the ring holds", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.LoadSynthetic(7);
  for (uint64_t id = 0; id < 10 * ipc::kRingCapacity; id += ipc::kRingCapacity) {
    for (uint64_t i = 0; i < ipc::kRingCapacity; ++i) {
      server.Submit(0, id + i, 7, {FloatTensor("INPUT__0", {float(id + i)}, {1})});
    }
    for (uint64_t i = 0; i < ipc::kRingCapacity; ++i) {
      const ipc::CompletionEntry completion = server.AwaitCompletion(0);
      REQUIRE(completion.batch_id == id + i);
      CHECK(server.Outputs(completion)[0] == FloatTensor("OUTPUT__0", {float(id + i)}, {1}));
      server.Release(completion);
    }
  }
}

TEST_CASE("A lane with a share rests between its batches", "[lane]") {
  ServerEnd server({});
  v1::ToWorker hello = server.MakeHello();
  hello.mutable_hello()->set_cpu_share(20);
  server.Greet(hello);
  server.LoadSynthetic(7, {{"alpha_us", "1000"}});
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t id = 0; id < 2; ++id) {
    server.Submit(0, id, 7, {FloatTensor("INPUT__0", {1}, {1})});
  }
  const uint64_t first_ns = server.AwaitCompletion(0).compute_ns;
  const uint64_t second_ns = server.AwaitCompletion(0).compute_ns;
  const std::chrono::nanoseconds total = std::chrono::steady_clock::now() - start;
  // The first run, a rest of four times as long, and the second run; whatever else goes on makes it
  // longer.
  CHECK(total.count() >= static_cast<int64_t>(5 * first_ns + second_ns));
}

TEST_CASE("Lanes work side by side", "[lane]") {
  ServerEnd::Options options;
  options.lanes = 3;
  ServerEnd server(options);
  server.Greet();
  server.LoadSynthetic(7);
  for (uint64_t round = 0; round < 100; ++round) {
    for (uint32_t lane = 0; lane < 3; ++lane) {
      server.Submit(lane, round * 3 + lane, 7, {FloatTensor("INPUT__0", {float(lane)}, {1})});
    }
    for (uint32_t lane = 0; lane < 3; ++lane) {
      const ipc::CompletionEntry completion = server.AwaitCompletion(lane);
      REQUIRE(completion.batch_id == round * 3 + lane);
      CHECK(server.Outputs(completion)[0] == FloatTensor("OUTPUT__0", {float(lane)}, {1}));
      server.Release(completion);
    }
  }
}

TEST_CASE("A lane answers a batch for a model that is not there", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.Submit(0, 1, 99, {});
  const ipc::CompletionEntry completion = server.AwaitCompletion(0);
  CHECK(Code(completion) == absl::StatusCode::kNotFound);
  CHECK(server.ErrorText(completion) == "the model is not loaded in this worker");
}

TEST_CASE("A lane passes the model's own error on and works on", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.LoadSynthetic(7, {{"mode", "fail"}, {"fail_every", "2"}});
  for (uint64_t id = 0; id < 4; ++id) {
    server.Submit(0, id, 7, {FloatTensor("INPUT__0", {1}, {1})});
    const ipc::CompletionEntry completion = server.AwaitCompletion(0);
    const bool fails = id % 2 == 1;
    REQUIRE(Code(completion) == (fails ? absl::StatusCode::kInternal : absl::StatusCode::kOk));
    if (fails) CHECK(server.ErrorText(completion) == "the model failed as it was told");
    server.Release(completion);
  }
}

TEST_CASE("A lane answers a record that makes no sense", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.LoadSynthetic(7);
  ipc::SubmitEntry entry{};
  entry.batch_id = 5;
  entry.model_handle = 7;
  entry.record_offset = uint64_t{1} << 50;
  entry.record_bytes = 8;
  server.SubmitEntry(0, entry);
  const ipc::CompletionEntry completion = server.AwaitCompletion(0);
  CHECK(completion.batch_id == 5);
  CHECK(Code(completion) == absl::StatusCode::kInternal);
}

TEST_CASE("A lane says when outputs can never fit the arena", "[lane]") {
  ServerEnd::Options options;
  options.output_arena_bytes = 4096;
  ServerEnd server(options);
  server.Greet();
  server.LoadSynthetic(7);
  server.Submit(0, 1, 7, {FloatTensor("INPUT__0", std::vector<float>(2000), {2000})});
  const ipc::CompletionEntry completion = server.AwaitCompletion(0);
  CHECK(Code(completion) == absl::StatusCode::kResourceExhausted);
  CHECK(server.ErrorText(completion).find("4096") != std::string::npos);
}

TEST_CASE("A lane waits for outputs to be released", "[lane]") {
  ServerEnd::Options options;
  options.output_arena_bytes = 4096;
  ServerEnd server(options);
  server.Greet();
  server.LoadSynthetic(7);
  const TestTensor half_the_arena = FloatTensor("INPUT__0", std::vector<float>(600), {600});
  server.Submit(0, 1, 7, {half_the_arena});
  const ipc::CompletionEntry first = server.AwaitCompletion(0);
  server.Submit(0, 2, 7, {half_the_arena});
  server.Release(first);
  CHECK(Code(server.AwaitCompletion(0)) == absl::StatusCode::kOk);
}

TEST_CASE("A lane whose ring makes no sense ends the worker", "[lane]") {
  ServerEnd server({});
  server.Greet();
  server.lane(0)->submit.tail.store(1000);
  server.lane(0)->submitted.Ring();
  CHECK(absl::IsInternal(server.AwaitBroken()));
}

}  // namespace
}  // namespace tandem::worker
