// Streams a data set through a predictor: a bounded window of calls under way, predictions written
// in the order of the rows, whatever order the answers come in. What cannot be read or is refused
// fails its row alone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "client/dataset/dataset_reader.h"
#include "client/dataset/prediction_writer.h"
#include "client/dataset/predictor.h"
#include "core/clock.h"

namespace tandem::client {

struct JobOptions {
  // Calls under way at a time, and rows in one at most.
  int concurrency = 16;
  int batch = 1;
  // Calls that UNAVAILABLE answers are made again, up to so many times in all, after a pause that
  // doubles. Those that RESOURCE_EXHAUSTED answers, up to 3 times.
  int max_attempts = 7;
  Duration first_pause = std::chrono::milliseconds(200);
  // How often what is done is made durable.
  Duration checkpoint_interval = std::chrono::seconds(2);
};

struct JobProgress {
  // Rows written, failed ones included, and of these the failed ones. Earlier parts of a resumed
  // job count.
  int64_t rows = 0;
  int64_t failed = 0;
};

struct JobSummary {
  JobProgress progress;
  // Stop() ended it before the end of the data set.
  bool interrupted = false;
  // Why it stopped before its end. UNAVAILABLE: the server was lost; otherwise the data set, whose
  // rows before the fault are done, or the disk.
  absl::Status status;
};

// Hears what happens. Called by the thread that runs the job.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // `place`: the row's source, or its place. Empty where it has none or could not be read.
  virtual void OnRowFailed(int64_t row, const std::string& place, const absl::Status& reason) = 0;
  // `fraction` of the data set has been read.
  virtual void OnProgress(const JobProgress& progress, double fraction) = 0;
  // An answer came. No call that is under way or to come was sent before `oldest`.
  virtual void OnReply(const PredictReply& reply, TimePoint sent, TimePoint received,
                       TimePoint oldest) = 0;
  // A call failed and is made again.
  virtual void OnRetry(const absl::Status& reason, int attempt) = 0;
};

class PredictionJob {
 public:
  // Saves what a resumed job needs: rows are durable before it is called.
  using SaveProgress =
      std::function<absl::Status(const JobProgress&, const nlohmann::json& writer_state)>;

  // All outlive the job. `reader` stands behind `done.rows` rows, `writer` has them written.
  PredictionJob(DatasetReader& reader, Predictor& predictor, PredictionWriter& writer,
                JobObserver& observer, const Clock& clock, JobOptions options, SaveProgress save,
                JobProgress done = {});

  // Runs to the end, or until Stop(), or until the server is lost. Returns when no call is under
  // way any more. The writer then has a checkpoint, saved, but is neither completed nor suspended.
  // Once only.
  JobSummary Run();

  // Asks Run to end soon: calls under way are awaited, no others made. Thread-safe.
  void Stop();

 private:
  // Rows that go in one call, from reading to writing.
  struct Slot {
    int64_t first_row = 0;
    std::vector<Row> rows;
    std::vector<Prediction> predictions;
    enum { kWaiting, kRunning, kDone } state = kWaiting;
    int attempts = 0;
    TimePoint not_before{};
    TimePoint sent{};
  };
  struct Answer {
    Slot* slot;
    absl::StatusOr<PredictReply> reply;
    TimePoint received;
  };

  void ReadAhead();
  // Fills the slot with the rows that can go in one call with its first. An error is that of the
  // row behind them.
  absl::Status AddJoiningRows(Slot& slot);
  void StartCalls();
  void Send(Slot& slot);
  void Settle(Answer answer);
  void SettleFailure(Slot& slot, const absl::Status& status);
  void SplitUp(Slot& slot);
  void WriteDone();
  void SaveCheckpoint();
  // Sleeps until an answer, Stop(), or the next pause ends.
  std::vector<Answer> AwaitAnswers();
  bool Stopping() const { return interrupted_ || !status_.ok(); }

  DatasetReader& reader_;
  Predictor& predictor_;
  PredictionWriter& writer_;
  JobObserver& observer_;
  const Clock& clock_;
  const JobOptions options_;
  const SaveProgress save_;

  // In the order of the rows. A list: calls under way hold pointers to its elements.
  std::list<Slot> slots_;
  int running_ = 0;
  // Nothing more can be read: the data set has ended, or read_error_ says why.
  bool at_end_ = false;
  absl::Status read_error_;
  bool interrupted_ = false;
  absl::Status status_;
  int64_t next_row_;
  // A row that did not join the one before it.
  std::optional<Row> held_back_;
  JobProgress progress_;
  TimePoint last_checkpoint_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::client
