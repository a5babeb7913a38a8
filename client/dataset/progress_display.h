// Shows on stderr how a job fares: a bar where that is a terminal, a line now and then where it is
// not. Counts pools' times on the way. Used by one thread.
#pragma once

#include <cstdio>
#include <optional>
#include <string>

#include "client/dataset/overlap_meter.h"
#include "client/dataset/prediction_job.h"

namespace tandem::client {

class ProgressDisplay : public JobObserver {
 public:
  // `first_row`: where a resumed job begins. `total`: rows of the data set, if known. `quiet`:
  // failed rows only.
  ProgressDisplay(std::FILE* stream, const Clock& clock, bool quiet, int64_t first_row,
                  std::optional<int64_t> total);

  void OnRowFailed(int64_t row, const std::string& source, const absl::Status& reason) override;
  void OnProgress(const JobProgress& progress, double fraction) override;
  void OnReply(const PredictReply& reply, TimePoint sent, TimePoint received,
               TimePoint oldest) override;
  void OnRetry(const absl::Status& reason, int attempt) override;

  // Takes the bar away. Before anything else is printed.
  void Clear();

  // Seconds since the start, and the pools' times. Once, at the end.
  double Elapsed() const;
  OverlapMeter::Result PoolTimes() { return meter_.Finish(); }

 private:
  std::string Line(const JobProgress& progress, double fraction) const;
  void PrintLine(const std::string& line);

  std::FILE* const stream_;
  const Clock& clock_;
  const bool quiet_;
  const bool terminal_;
  const int64_t first_row_;
  const std::optional<int64_t> total_;
  const TimePoint started_;
  TimePoint last_shown_;
  TimePoint last_retry_{};
  bool bar_shown_ = false;
  int64_t failures_shown_ = 0;
  OverlapMeter meter_;
};

// "3 min 05 s".
std::string DurationText(double seconds);

}  // namespace tandem::client
