#include "backends/worker/control_loop.h"

#include <condition_variable>
#include <mutex>

#include "tests/support/catch.h"
#include "tests/worker/server_end.h"

namespace tandem::worker {
namespace {

// Holds threads until it is opened.
class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void AwaitArrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return arrived_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int arrived_ = 0;
};

class GatedExecutor : public Executor {
 public:
  explicit GatedExecutor(Gate& gate) : gate_(gate) {}
  const Signature& signature() const override { return signature_; }
  absl::Status Run(uint32_t, absl::Span<const InputTensor>, OutputSink& sink) override {
    gate_.Pass();
    return sink.Allocate({}).status();
  }

 private:
  Gate& gate_;
  Signature signature_;
};

// Its loads and runs wait at gates.
class GatedRuntime : public Runtime {
 public:
  GatedRuntime(Gate& load, Gate& run) : load_(load), run_(run) {}
  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec&) override {
    load_.Pass();
    return std::make_unique<GatedExecutor>(run_);
  }

 private:
  Gate& load_;
  Gate& run_;
};

ControlLoop::RuntimeFactory Gated(Gate& load, Gate& run) {
  return [&load, &run](const RuntimeOptions&) -> absl::StatusOr<Runtimes> {
    Runtimes runtimes;
    runtimes.by_platform.emplace("gated", std::make_unique<GatedRuntime>(load, run));
    return runtimes;
  };
}

v1::ToWorker LoadMessage(uint32_t handle, const std::string& platform) {
  v1::ToWorker message;
  message.mutable_load_model()->set_handle(handle);
  message.mutable_load_model()->set_platform(platform);
  return message;
}

v1::ToWorker UnloadMessage(uint32_t handle) {
  v1::ToWorker message;
  message.mutable_unload_model()->set_handle(handle);
  return message;
}

v1::ToWorker PingMessage(uint64_t sequence) {
  v1::ToWorker message;
  message.mutable_ping()->set_sequence(sequence);
  return message;
}

TEST_CASE("A worker answers the greeting with what it is", "[control]") {
  ServerEnd server({});
  const v1::HelloReply reply = server.Greet();
  CHECK(reply.protocol_version() == ipc::kProtocolVersion);
  CHECK(reply.runtime() == "synthetic");
  CHECK(reply.device() == "cpu");
  CHECK(reply.error().empty());
}

TEST_CASE("A worker takes regions announced in whole pages", "[control]") {
  ServerEnd server({});
  v1::ToWorker hello = server.MakeHello();
  hello.mutable_hello()->set_control_bytes((hello.hello().control_bytes() + 4095) / 4096 * 4096);
  CHECK(server.Greet(hello).error().empty());
}

TEST_CASE("A worker says why it cannot serve, and ends", "[control]") {
  ServerEnd server({});
  v1::ToWorker message = server.MakeHello();
  v1::Hello& hello = *message.mutable_hello();
  size_t regions = 3;
  std::string expected;
  SECTION("another version") {
    hello.set_protocol_version(ipc::kProtocolVersion + 1);
    expected = "the server speaks version " + std::to_string(ipc::kProtocolVersion + 1);
  }
  SECTION("no lanes") {
    hello.set_lanes(0);
    expected = "lanes";
  }
  SECTION("too many lanes") {
    hello.set_lanes(ipc::kMaxLanes + 1);
    expected = "lanes";
  }
  SECTION("more lanes than the region holds") {
    hello.set_lanes(200);
    expected = "the control region of 200 lanes";
  }
  SECTION("no threads") {
    hello.set_threads(0);
    expected = "at least 1 thread";
  }
  SECTION("an arena of no bytes") {
    hello.set_input_arena_bytes(0);
    expected = "an arena";
  }
  SECTION("an arena of another size than announced") {
    hello.set_output_arena_bytes(1 << 21);
    expected = "announced size";
  }
  SECTION("a region too few") {
    regions = 2;
    expected = "expected 3 regions";
  }
  const v1::HelloReply reply = server.Greet(message, regions);
  CHECK(reply.protocol_version() == ipc::kProtocolVersion);
  CAPTURE(reply.error());
  CHECK(reply.error().find(expected) != std::string::npos);
  CHECK_FALSE(server.Join().ok());
}

TEST_CASE("A worker whose device cannot be used says so", "[control]") {
  ServerEnd::Options options;
  options.make_runtimes = [](const RuntimeOptions&) -> absl::StatusOr<Runtimes> {
    return absl::FailedPreconditionError("no GPU is visible");
  };
  ServerEnd server(options);
  CHECK(server.Greet().error() == "no GPU is visible");
  CHECK(absl::IsFailedPrecondition(server.Join()));
}

TEST_CASE("A worker's runtimes get the arenas and what the server decides of the device",
          "[control]") {
  RuntimeOptions seen;
  ServerEnd::Options options;
  options.make_runtimes = [&seen](const RuntimeOptions& given) {
    seen = given;
    return SyntheticOnly(given);
  };
  ServerEnd server(options);
  v1::ToWorker hello = server.MakeHello();
  hello.mutable_hello()->set_threads(3);
  hello.mutable_hello()->set_device_memory_bytes(uint64_t{6} << 30);
  CHECK(server.Greet(hello).error().empty());
  CHECK(seen.threads == 3);
  CHECK(seen.device_memory_bytes == uint64_t{6} << 30);
  REQUIRE(seen.arenas.size() == 2);
  CHECK(seen.arenas[0].size() == options.input_arena_bytes);
  CHECK(seen.arenas[1].size() == options.output_arena_bytes);
}

TEST_CASE("A worker tells what its executor notes of a model", "[control]") {
  class NotingExecutor : public Executor {
   public:
    const Signature& signature() const override { return signature_; }
    std::vector<std::string> notes() const override { return {"it runs without graphs"}; }
    absl::Status Run(uint32_t, absl::Span<const InputTensor>, OutputSink&) override {
      return absl::InternalError("it is not to be run");
    }

   private:
    Signature signature_;
  };
  class NotingRuntime : public Runtime {
   public:
    absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec&) override {
      return std::make_unique<NotingExecutor>();
    }
  };
  ServerEnd::Options options;
  options.make_runtimes = [](const RuntimeOptions&) -> absl::StatusOr<Runtimes> {
    Runtimes runtimes;
    runtimes.by_platform.emplace("noting", std::make_unique<NotingRuntime>());
    return runtimes;
  };
  ServerEnd server(options);
  server.Greet();
  // Also behind the executor that parts batches.
  for (const uint32_t max_batch_size : {0U, 8U}) {
    v1::ToWorker load = LoadMessage(max_batch_size + 1, "noting");
    load.mutable_load_model()->set_max_batch_size(max_batch_size);
    server.Send(load);
    const v1::FromWorker reply = server.Receive();
    REQUIRE(reply.model_loaded().notes_size() == 1);
    CHECK(reply.model_loaded().notes(0) == "it runs without graphs");
  }
}

TEST_CASE("A worker ends when its server has gone", "[control]") {
  ServerEnd server({});
  SECTION("before the greeting") {}
  SECTION("after it") { server.Greet(); }
  server.HangUp();
  CHECK(absl::IsUnavailable(server.Join()));
}

TEST_CASE("A worker ends when its server breaks the protocol", "[control]") {
  ServerEnd server({});
  SECTION("another message before the greeting") { server.Send(PingMessage(1)); }
  SECTION("a second greeting") {
    server.Greet();
    server.Send(server.MakeHello());
  }
  SECTION("a message that it does not know") {
    server.Greet();
    v1::ToWorker message;
    message.GetReflection()->MutableUnknownFields(&message)->AddVarint(99, 1);
    server.Send(message);
  }
  CHECK(absl::IsInternal(server.Join()));
}

TEST_CASE("A worker tells a loaded model's signature", "[control]") {
  ServerEnd server({});
  server.Greet();
  v1::ToWorker message = LoadMessage(3, "synthetic");
  v1::TensorSpec& input = *message.mutable_load_model()->add_inputs();
  input.set_name("pixels");
  input.set_data_type(static_cast<uint32_t>(DataType::kUint8));
  input.add_dims(-1);
  input.add_dims(3);
  input.set_optional(true);
  server.Send(message);
  const v1::FromWorker reply = server.Receive();
  REQUIRE(reply.has_model_loaded());
  CHECK(reply.model_loaded().handle() == 3);
  REQUIRE(reply.model_loaded().inputs_size() == 1);
  CHECK(reply.model_loaded().inputs(0).SerializeAsString() == input.SerializeAsString());
  REQUIRE(reply.model_loaded().outputs_size() == 1);
  CHECK(reply.model_loaded().outputs(0).name() == "OUTPUT__0");
}

TEST_CASE("A worker says why a model cannot be loaded, and serves on", "[control]") {
  ServerEnd server({});
  server.Greet();
  v1::ToWorker message = LoadMessage(3, "synthetic");
  v1::LoadModel& load = *message.mutable_load_model();
  std::string expected;
  SECTION("a platform that it does not run") {
    load.set_platform("tensorflow");
    expected = "platform \"tensorflow\" is not one that this worker runs (synthetic)";
  }
  SECTION("a bad parameter") {
    (*load.mutable_parameters())["alpha_us"] = "soon";
    expected = "parameter alpha_us is \"soon\"";
  }
  SECTION("an unknown type") {
    load.add_inputs()->set_data_type(99);
    expected = "unknown type 99";
  }
  SECTION("too many dimensions") {
    v1::TensorSpec& input = *load.add_inputs();
    for (int i = 0; i < 9; ++i) input.add_dims(1);
    expected = "9 dimensions";
  }
  SECTION("a handle that is taken") {
    server.LoadSynthetic(3);
    expected = "another model already has the handle 3";
  }
  server.Send(message);
  const v1::FromWorker reply = server.Receive();
  REQUIRE(reply.has_model_failed());
  CHECK(reply.model_failed().handle() == 3);
  CAPTURE(reply.model_failed().reason());
  CHECK(reply.model_failed().reason().find(expected) != std::string::npos);
  server.LoadSynthetic(4);
}

// Fails with whatever bytes.
class FailingRuntime : public Runtime {
 public:
  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec&) override {
    return absl::InternalError("bad\xff\x01" + std::string(200'000, 'x'));
  }
};

TEST_CASE("A worker cuts a reason that is too long and cleans one that is no text", "[control]") {
  ServerEnd::Options options;
  options.make_runtimes = [](const RuntimeOptions&) -> absl::StatusOr<Runtimes> {
    Runtimes runtimes;
    runtimes.by_platform.emplace("failing", std::make_unique<FailingRuntime>());
    return runtimes;
  };
  ServerEnd server(options);
  server.Greet();
  server.Send(LoadMessage(1, "failing"));
  const v1::FromWorker reply = server.Receive();
  REQUIRE(reply.has_model_failed());
  CHECK(reply.model_failed().reason() == "bad??" + std::string(ipc::kMaxErrorBytes - 5, 'x'));
}

TEST_CASE("A worker gives a sign of life while it loads", "[control]") {
  Gate load;
  Gate run;
  ServerEnd::Options options;
  options.make_runtimes = Gated(load, run);
  ServerEnd server(options);
  server.Greet();
  server.Send(LoadMessage(1, "gated"));
  load.AwaitArrival();
  server.Send(PingMessage(17));
  const v1::FromWorker pong = server.Receive();
  load.Open();
  REQUIRE(pong.has_pong());
  CHECK(pong.pong().sequence() == 17);
  CHECK(server.Receive().has_model_loaded());
}

TEST_CASE("A worker unloads a model after its last run", "[control]") {
  Gate load;
  Gate run;
  load.Open();
  ServerEnd::Options options;
  options.make_runtimes = Gated(load, run);
  ServerEnd server(options);
  server.Greet();
  server.Send(LoadMessage(1, "gated"));
  REQUIRE(server.Receive().has_model_loaded());
  server.Submit(0, 1, 1, {});
  run.AwaitArrival();
  server.Send(UnloadMessage(1));
  // Answered after the unload if that did not wait.
  server.Send(PingMessage(1));
  const v1::FromWorker first = server.Receive();
  run.Open();
  CHECK(first.has_pong());
  CHECK(server.AwaitCompletion(0).status_code == 0);
  const v1::FromWorker second = server.Receive();
  REQUIRE(second.has_model_unloaded());
  CHECK(second.model_unloaded().handle() == 1);
  server.Submit(0, 2, 1, {});
  CHECK(server.AwaitCompletion(0).status_code ==
        static_cast<uint32_t>(absl::StatusCode::kNotFound));
}

TEST_CASE("A worker answers the unload of a model that is not there", "[control]") {
  ServerEnd server({});
  server.Greet();
  server.Send(UnloadMessage(5));
  CHECK(server.Receive().model_unloaded().handle() == 5);
}

TEST_CASE("A worker finishes its batches before it shuts down", "[control]") {
  ServerEnd server({});
  server.Greet();
  server.LoadSynthetic(7, {{"alpha_us", "300"}});
  for (uint64_t id = 0; id < 8; ++id) {
    server.Submit(0, id, 7, {FloatTensor("INPUT__0", {1}, {1})});
  }
  server.Shutdown();
  CHECK(server.Join().ok());
  for (uint64_t id = 0; id < 8; ++id) CHECK(server.AwaitCompletion(0).batch_id == id);
}

}  // namespace
}  // namespace tandem::worker
