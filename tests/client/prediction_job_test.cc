#include "client/dataset/prediction_job.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "client/dataset/progress_file.h"
#include "tests/client/arrays.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

// Rows of one number each. Row 3 cannot be read.
class NumberReader : public DatasetReader {
 public:
  explicit NumberReader(int64_t rows) : rows_(rows) {}
  absl::StatusOr<std::optional<Row>> Next() override {
    if (next_ == rows_) return std::nullopt;
    const int64_t row = next_++;
    most_read_ = std::max(most_read_, next_);
    if (row == cut_at) return absl::DataLossError("the file is cut off");
    if (row == 3) return absl::InvalidArgumentError("row three is bad");
    return Row{{ArrayOf<int64_t>("x", DataType::kInt64, {}, {row})}, "", ""};
  }
  double fraction_read() const override { return 0.5; }
  int64_t next() const { return next_; }

  // From this row on nothing can be read.
  int64_t cut_at = -1;

 private:
  const int64_t rows_;
  int64_t next_ = 0;
  int64_t most_read_ = 0;
};

// Answers each row with its own number. `refuse` fails calls by their first row and the number of
// calls so far.
class EchoPredictor : public Predictor {
 public:
  std::function<absl::Status(absl::Span<const Row>)> refuse = [](absl::Span<const Row>) {
    return absl::OkStatus();
  };
  // Answers are held back, and given newest first when so many calls are under way.
  size_t hold = 1;

  void Predict(absl::Span<const Row> rows, Callback done) override {
    ++calls;
    most_rows = std::max(most_rows, rows.size());
    held_.push_back({rows, std::move(done)});
    most_held = std::max(most_held, held_.size());
    if (held_.size() < hold) return;
    while (!held_.empty()) AnswerNewest();
  }
  bool CanJoin(const Row&, const Row&) const override { return true; }

  int calls = 0;
  size_t most_rows = 0;
  size_t most_held = 0;

 private:
  struct Held {
    absl::Span<const Row> rows;
    Callback done;
  };
  void AnswerNewest() {
    Held held = std::move(held_.back());
    held_.pop_back();
    const absl::Status status = refuse(held.rows);
    if (!status.ok()) {
      std::move(held.done)(status);
      return;
    }
    std::vector<int64_t> numbers;
    for (const Row& row : held.rows) numbers.push_back(ElementAt<int64_t>(row.inputs[0].bytes, 0));
    PredictReply reply;
    reply.models.push_back({"m", "m", "1", absl::OkStatus(), {}, {}});
    reply.models[0].outputs.push_back(
        ArrayOf<int64_t>("y", DataType::kInt64, {static_cast<int64_t>(numbers.size())}, numbers));
    std::move(held.done)(std::move(reply));
  }

  std::vector<Held> held_;
};

class Recorder : public PredictionWriter, public JobObserver {
 public:
  absl::Status Write(const Prediction& prediction) override {
    if (static_cast<int64_t>(rows.size()) == full_at)
      return absl::DataLossError("the disk is full");
    CHECK(prediction.row == first_row + static_cast<int64_t>(rows.size()));
    rows.push_back(
        prediction.status.ok() ? ElementAt<int64_t>(prediction.models[0].outputs[0].bytes, 0) : -1);
    if (on_write) on_write();
    return absl::OkStatus();
  }
  absl::StatusOr<nlohmann::json> Checkpoint() override { return nlohmann::json(rows.size()); }
  absl::Status Complete() override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Suspend() override { return ""; }
  void OnRowFailed(int64_t row, const std::string&, const absl::Status& reason) override {
    failures.emplace_back(row, reason);
  }
  void OnProgress(const JobProgress&, double) override {}
  void OnReply(const PredictReply&, TimePoint sent, TimePoint received, TimePoint oldest) override {
    CHECK(oldest <= sent);
    CHECK(sent <= received);
  }
  void OnRetry(const absl::Status&, int) override { ++retries; }

  int64_t first_row = 0;
  int64_t full_at = -1;
  // -1 for a failed row.
  std::vector<int64_t> rows;
  std::vector<std::pair<int64_t, absl::Status>> failures;
  int retries = 0;
  std::function<void()> on_write;
};

struct Run {
  explicit Run(int64_t rows) : reader(rows) { options.first_pause = Duration(0); }
  JobSummary operator()() {
    PredictionJob job(reader, predictor, recorder, recorder, clock, options,
                      [this](const JobProgress& progress, const nlohmann::json& state) {
                        saved = progress.rows;
                        CHECK(state == static_cast<size_t>(progress.rows - recorder.first_row));
                        return absl::OkStatus();
                      },
                      {recorder.first_row, 0});
    current = &job;
    return job.Run();
  }

  SystemClock clock;
  NumberReader reader;
  EchoPredictor predictor;
  Recorder recorder;
  JobOptions options;
  PredictionJob* current = nullptr;
  int64_t saved = -1;
};

TEST_CASE("Predictions are written in the order of the rows, whatever the order of the answers",
          "[client]") {
  Run run(21);
  run.options.concurrency = 4;
  run.predictor.hold = 4;
  const JobSummary summary = run();
  CHECK(summary.status.ok());
  CHECK_FALSE(summary.interrupted);
  CHECK(summary.progress.rows == 21);
  CHECK(summary.progress.failed == 1);
  REQUIRE(run.recorder.rows.size() == 21);
  for (int64_t row = 0; row < 21; ++row)
    CHECK(run.recorder.rows[static_cast<size_t>(row)] == (row == 3 ? -1 : row));
  CHECK(run.predictor.most_held == 4);
  CHECK(run.saved == 21);
}

TEST_CASE("Rows go together in calls of the size that is asked for", "[client]") {
  Run run(100);
  run.options.batch = 8;
  CHECK(run().progress.rows == 100);
  CHECK(run.predictor.most_rows == 8);
  // 3 rows before the bad one, 96 behind it.
  CHECK(run.predictor.calls == 13);
}

TEST_CASE("A job reads no further ahead than its window", "[client]") {
  Run run(1000000);
  run.options.concurrency = 2;
  run.recorder.on_write = [&run] {
    CHECK(run.reader.next() <= static_cast<int64_t>(run.recorder.rows.size()) + 5);
    if (run.recorder.rows.size() == 50) run.current->Stop();
  };
  const JobSummary summary = run();
  CHECK(summary.interrupted);
  CHECK(summary.progress.rows < 60);
}

TEST_CASE("A refused call of many rows is asked again row by row", "[client]") {
  Run run(16);
  run.options.batch = 4;
  run.predictor.refuse = [](absl::Span<const Row> rows) {
    for (const Row& row : rows) {
      if (ElementAt<int64_t>(row.inputs[0].bytes, 0) == 9)
        return absl::InvalidArgumentError("not nine");
    }
    return absl::OkStatus();
  };
  const JobSummary summary = run();
  CHECK(summary.status.ok());
  CHECK(summary.progress.failed == 2);
  REQUIRE(run.recorder.failures.size() == 2);
  CHECK(run.recorder.failures[1].first == 9);
  CHECK(run.recorder.failures[1].second.message() == "not nine");
  CHECK(run.recorder.rows[8] == 8);
  CHECK(run.recorder.rows[10] == 10);
}

TEST_CASE("A call that nobody answered is made again", "[client]") {
  Run run(10);
  int failures = 3;
  run.predictor.refuse = [&failures](absl::Span<const Row>) {
    return failures-- > 0 ? absl::UnavailableError("restarting") : absl::OkStatus();
  };
  const JobSummary summary = run();
  CHECK(summary.status.ok());
  CHECK(summary.progress.rows == 10);
  CHECK(run.recorder.retries == 3);
}

TEST_CASE("A lost server stops the job with what was done before", "[client]") {
  Run run(50);
  run.options.concurrency = 3;
  run.options.max_attempts = 4;
  run.predictor.refuse = [](absl::Span<const Row> rows) {
    return ElementAt<int64_t>(rows[0].inputs[0].bytes, 0) >= 20 ? absl::UnavailableError("gone")
                                                                : absl::OkStatus();
  };
  const JobSummary summary = run();
  CHECK(absl::IsUnavailable(summary.status));
  CHECK(summary.progress.rows == 20);
  CHECK(run.saved == 20);
}

TEST_CASE("Rows before the place where the data set is cut off are predicted", "[client]") {
  for (const int batch : {1, 4, 8}) {
    Run run(50);
    run.options.batch = batch;
    run.reader.cut_at = 22;
    const JobSummary summary = run();
    CHECK(absl::IsDataLoss(summary.status));
    CHECK_FALSE(summary.interrupted);
    CHECK(summary.progress.rows == 22);
    CHECK(run.recorder.rows.back() == 21);
    CHECK(run.saved == 22);
  }
}

TEST_CASE("A full disk stops the job", "[client]") {
  Run run(50);
  run.recorder.full_at = 5;
  const JobSummary summary = run();
  CHECK(absl::IsDataLoss(summary.status));
  CHECK(summary.progress.rows == 5);
}

TEST_CASE("A stopped job goes on where it stopped, and no row is lost or doubled", "[client]") {
  Run first(40);
  first.options.concurrency = 3;
  first.recorder.on_write = [&first] {
    if (first.recorder.rows.size() == 12) first.current->Stop();
  };
  const JobSummary stopped = first();
  CHECK(stopped.interrupted);
  CHECK(stopped.status.ok());
  CHECK(stopped.progress.rows >= 12);
  CHECK(stopped.progress.rows < 40);
  CHECK(first.saved == stopped.progress.rows);

  Run second(40);
  REQUIRE(second.reader.Skip(stopped.progress.rows).ok());
  second.recorder.first_row = stopped.progress.rows;
  CHECK(second().progress.rows == 40);
  CHECK(second.recorder.rows.front() == stopped.progress.rows);
  CHECK(second.recorder.rows.back() == 39);
}

TEST_CASE("Answers may come on other threads, and Stop from any", "[client]") {
  class ThreadPredictor : public Predictor {
   public:
    ~ThreadPredictor() override {
      for (std::thread& thread : threads_) thread.join();
    }
    void Predict(absl::Span<const Row> rows, Callback done) override {
      threads_.emplace_back(
          [this, rows, done = std::move(done)]() mutable { echo_.Predict(rows, std::move(done)); });
    }
    bool CanJoin(const Row&, const Row&) const override { return false; }

   private:
    class Echo {
     public:
      void Predict(absl::Span<const Row> rows, Predictor::Callback done) {
        PredictReply reply;
        reply.models.push_back({"m", "m", "1", absl::OkStatus(), {rows[0].inputs[0]}, {}});
        std::move(done)(std::move(reply));
      }
    } echo_;
    std::vector<std::thread> threads_;
  };
  const SystemClock clock;
  NumberReader reader(200);
  Recorder recorder;
  ThreadPredictor predictor;
  PredictionJob job(reader, predictor, recorder, recorder, clock, {},
                    [](const JobProgress&, const nlohmann::json&) { return absl::OkStatus(); });
  std::thread stopper;
  recorder.on_write = [&] {
    if (recorder.rows.size() == 100) stopper = std::thread([&job] { job.Stop(); });
  };
  const JobSummary summary = job.Run();
  stopper.join();
  CHECK(summary.status.ok());
  CHECK(summary.progress.rows >= 100);
  CHECK(summary.progress.rows == static_cast<int64_t>(recorder.rows.size()));
}

TEST_CASE("Progress is only taken up by the same job", "[client]") {
  const ScratchFolder folder;
  const std::string output = folder.Path("o.csv");
  const nlohmann::json job = {{"dataset", 1}, {"--models", "a"}};
  const ProgressFile file(output, job);
  CHECK_FALSE((*file.Load()).has_value());
  REQUIRE(file.Save({7, 2}, {{"bytes", 5}}).ok());
  const auto saved = file.Load();
  REQUIRE(saved.ok());
  CHECK((**saved).progress.rows == 7);
  CHECK((**saved).progress.failed == 2);
  CHECK((**saved).writer == nlohmann::json{{"bytes", 5}});

  const auto other = ProgressFile(output, {{"dataset", 1}, {"--models", "b"}}).Load();
  CHECK(absl::IsInvalidArgument(other.status()));
  CHECK(std::string(other.status().message()).find("it differs in --models;") != std::string::npos);
  folder.Write("o.csv.progress", "{\"rows\":");
  CHECK(absl::IsInvalidArgument(file.Load().status()));
  file.Remove();
  CHECK(folder.Count() == 0);
}

}  // namespace
}  // namespace tandem::client
