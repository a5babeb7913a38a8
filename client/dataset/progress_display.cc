#include "client/dataset/progress_display.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

constexpr Duration kBarInterval = std::chrono::milliseconds(100);
constexpr Duration kLineInterval = std::chrono::seconds(5);
constexpr Duration kRetryInterval = std::chrono::seconds(1);
constexpr int kBarWidth = 24;
// Failed rows that are told one by one; the output holds all of them.
constexpr int64_t kFailuresShown = 100;

}  // namespace

std::string DurationText(double seconds) {
  const int64_t whole = static_cast<int64_t>(seconds + 0.5);
  if (seconds < 10) return absl::StrFormat("%.1f s", seconds);
  if (whole < 60) return absl::StrFormat("%d s", whole);
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  return absl::StrFormat("%d h %02d min", whole / 3600, whole / 60 % 60);
}

ProgressDisplay::ProgressDisplay(std::FILE* stream, const Clock& clock, bool quiet,
                                 int64_t first_row, std::optional<int64_t> total)
    : stream_(stream),
      clock_(clock),
      quiet_(quiet),
      terminal_(isatty(fileno(stream)) == 1),
      first_row_(first_row),
      total_(total),
      started_(clock.Now()),
      last_shown_(started_) {}

double ProgressDisplay::Elapsed() const { return ToSeconds(clock_.Now() - started_); }

void ProgressDisplay::Clear() {
  if (bar_shown_) std::fputs("\r\033[K", stream_);
  bar_shown_ = false;
}

void ProgressDisplay::PrintLine(const std::string& line) {
  Clear();
  std::fprintf(stream_, "%s\n", Printable(line).c_str());
}

void ProgressDisplay::OnRowFailed(int64_t row, const std::string& place,
                                  const absl::Status& reason) {
  if (failures_shown_++ < kFailuresShown) {
    const std::string name = place.empty() ? "" : absl::StrCat(" (", place, ")");
    PrintLine(absl::StrCat("row ", row, name, ": ", reason.message()));
  } else if (failures_shown_ == kFailuresShown + 1) {
    PrintLine("more rows failed; the output tells which");
  }
}

void ProgressDisplay::OnRetry(const absl::Status& reason, int) {
  // Many calls fail together: one line tells it.
  const TimePoint now = clock_.Now();
  if (now - last_retry_ < kRetryInterval) return;
  last_retry_ = now;
  PrintLine(absl::StrCat("trying again: ", reason.message()));
}

std::string ProgressDisplay::Line(const JobProgress& progress, double fraction) const {
  const double elapsed = Elapsed();
  const double rate = elapsed > 0 ? static_cast<double>(progress.rows - first_row_) / elapsed : 0;
  std::string line =
      absl::StrCat(progress.rows, total_.has_value() ? absl::StrCat("/", *total_) : "", " rows  ",
                   absl::StrFormat("%.0f rows/s", rate));
  double left = -1;
  if (total_.has_value() && rate > 0) {
    left = static_cast<double>(*total_ - progress.rows) / rate;
  } else if (!total_.has_value() && fraction > 0.01) {
    left = elapsed * (1 - fraction) / fraction;
  }
  if (left >= 0) absl::StrAppend(&line, "  ", DurationText(left), " left");
  if (progress.failed > 0) absl::StrAppend(&line, "  ", progress.failed, " failed");
  return line;
}

void ProgressDisplay::OnProgress(const JobProgress& progress, double fraction) {
  const TimePoint now = clock_.Now();
  if (quiet_ || now - last_shown_ < (terminal_ ? kBarInterval : kLineInterval)) return;
  last_shown_ = now;
  const double done = total_.has_value() && *total_ > 0
                          ? static_cast<double>(progress.rows) / static_cast<double>(*total_)
                          : fraction;
  if (!terminal_) {
    std::fprintf(stream_, "%3.0f %%  %s\n", done * 100, Line(progress, fraction).c_str());
    return;
  }
  const int filled = std::clamp(static_cast<int>(done * kBarWidth), 0, kBarWidth);
  std::fprintf(stream_, "\r[%s%s] %3.0f %%  %s\033[K",
               std::string(static_cast<size_t>(filled), '#').c_str(),
               std::string(static_cast<size_t>(kBarWidth - filled), '.').c_str(), done * 100,
               Line(progress, fraction).c_str());
  std::fflush(stream_);
  bar_shown_ = true;
}

void ProgressDisplay::OnReply(const PredictReply& reply, TimePoint sent, TimePoint received,
                              TimePoint oldest) {
  const double round_trip = ToSeconds(received - sent);
  const double served = reply.total_us / 1e6;
  // The server counts from the request's arrival; half of what the network took lies before it.
  const double arrived = ToSeconds(sent - started_) + std::max(0.0, round_trip - served) / 2;
  for (const ModelReply& model : reply.models) {
    if (model.placement.pool().empty()) continue;
    meter_.Add(model.placement.pool(), arrived + model.placement.start_us() / 1e6,
               arrived + model.placement.end_us() / 1e6);
  }
  meter_.Advance(ToSeconds(oldest - started_));
}

}  // namespace tandem::client
