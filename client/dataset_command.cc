#include "client/dataset_command.h"

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/array_json.h"
#include "client/dataset/dataset_file.h"
#include "client/dataset/grpc_predictor.h"
#include "client/dataset/output_lock.h"
#include "client/dataset/prediction_job.h"
#include "client/dataset/progress_display.h"
#include "client/dataset/progress_file.h"
#include "client/exit_code.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

// What makes two jobs the same one.
nlohmann::json Identity(const PredictOptions& options, nlohmann::json dataset) {
  const PredictTemplate& words = options.words;
  return {{"dataset", std::move(dataset)},
          {"--cpu-models", words.cpu_models},
          {"--gpu-models", words.gpu_models},
          {"--models", words.models},
          {"--merge-policy", words.merge_policy},
          {"--combine", words.combine},
          {"--combine-output", words.combine_outputs},
          {"--input", options.inputs},
          {"--csv-input", options.csv_inputs},
          {"--image-layout", options.image_layout},
          {"--no-batch-dim", options.no_batch_dim}};
}

nlohmann::json SummaryJson(const JobSummary& summary, const OverlapMeter::Result& times,
                           double elapsed, int64_t first_row) {
  nlohmann::json pools = nlohmann::json::object();
  for (const auto& [pool, time] : times.pools) {
    pools[pool] = {{"busy_seconds", time.busy}, {"sum_seconds", time.sum}};
  }
  return {{"rows", summary.progress.rows},
          {"failed", summary.progress.failed},
          {"rows_this_run", summary.progress.rows - first_row},
          {"seconds", elapsed},
          {"pools", std::move(pools)},
          {"any_pool_seconds", times.any},
          {"overlap_seconds", times.several}};
}

std::string SummaryText(const JobSummary& summary, const OverlapMeter::Result& times,
                        double elapsed, int64_t first_row) {
  const double rows = static_cast<double>(summary.progress.rows - first_row);
  std::string text = absl::StrFormat("%d rows in %s, %.0f rows/s, %d failed\n",
                                     summary.progress.rows - first_row, DurationText(elapsed),
                                     elapsed > 0 ? rows / elapsed : 0, summary.progress.failed);
  if (times.pools.empty()) return text;
  TextTable table({"POOL", "BUSY", "OF TOTAL", "RUNS ADDED UP"});
  double least = elapsed;
  for (const auto& [pool, time] : times.pools) {
    least = std::min(least, time.busy);
    table.AddRow({pool, absl::StrFormat("%.2f s", time.busy),
                  absl::StrFormat("%.0f %%", elapsed > 0 ? 100 * time.busy / elapsed : 0),
                  absl::StrFormat("%.2f s", time.sum)});
  }
  text += table.Render(Style(false));
  if (times.pools.size() == 2 && least > 0) {
    absl::StrAppendFormat(&text,
                          "Pools at work together: %.2f s, %.0f %% of the less busy pool's time\n",
                          times.several, 100 * times.several / least);
  } else if (times.pools.size() > 2 && times.any > 0) {
    absl::StrAppendFormat(&text,
                          "Two pools or more at work together: %.2f s, %.0f %% of the time in "
                          "which any was\n",
                          times.several, 100 * times.several / times.any);
  }
  return text;
}

// The parts of a job, once they are open.
struct OpenJob {
  std::unique_ptr<DatasetReader> reader;
  std::unique_ptr<PredictionWriter> writer;
  JobProgress done;
};

absl::StatusOr<OpenJob> Open(const PredictOptions& options, const DatasetFile& file,
                             const ProgressFile& progress) {
  std::error_code error;
  if (std::filesystem::equivalent(options.dataset, options.output, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output ", options.output, " is the data set itself; name another file"));
  }
  if (!options.resume && progress.Exists()) {
    return absl::InvalidArgumentError(
        absl::StrCat("an interrupted job left ", progress.path(),
                     ": go on with --resume, or delete it to start again"));
  }
  if (options.resume && !progress.Exists() && std::filesystem::exists(options.output, error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.output, " is there and has no interrupted job: there is nothing to resume"));
  }
  absl::StatusOr<std::optional<SavedProgress>> saved = progress.Load();
  if (!saved.ok()) return saved.status();
  OpenJob job;
  absl::StatusOr<std::unique_ptr<DatasetReader>> reader = OpenDataset(file);
  if (!reader.ok()) return reader.status();
  job.reader = *std::move(reader);
  if (saved->has_value()) {
    job.done = (*saved)->progress;
    const absl::Status skipped = job.reader->Skip(job.done.rows);
    if (!skipped.ok()) return skipped;
  }
  absl::StatusOr<std::unique_ptr<PredictionWriter>> writer = OpenWriter(
      options.output, NamesItsRows(file), saved->has_value() ? (*saved)->writer : nlohmann::json());
  if (!writer.ok()) return writer.status();
  job.writer = *std::move(writer);
  return job;
}

// How a job ended.
struct JobEnd {
  // Why it stopped before its end, or the output is not in its place.
  absl::Status status;
  // Where the rows of a job that is not complete can be read; empty where that is not known.
  std::string kept;
};

// Puts the output in its place, or keeps what is there for --resume.
JobEnd Finish(const JobSummary& summary, PredictionWriter& writer, const ProgressFile& progress) {
  JobEnd end{summary.status, ""};
  if (!summary.interrupted && end.status.ok()) {
    end.status = writer.Complete();
    if (end.status.ok()) {
      progress.Remove();
      return end;
    }
  }
  end.kept = writer.Suspend().value_or("");
  return end;
}

// Says why the job ended and how to go on. Returns the exit code.
int Tell(const JobSummary& summary, const JobEnd& end, const InferenceClient& client) {
  if (end.status.ok() && !summary.interrupted) {
    return summary.progress.failed > 0 ? kExitFailed : kExitOk;
  }
  // The summary has the error where JSON is asked for.
  const int code = end.status.ok() ? kExitInterrupted : Report(end.status, client, /*json=*/false);
  std::fprintf(stderr,
               "%s after %lld rows%s%s; the same command with --resume goes on from there\n",
               code == kExitInterrupted ? "Interrupted" : "Stopped",
               static_cast<long long>(summary.progress.rows),
               end.kept.empty() ? "" : ", which are in ", end.kept.c_str());
  return absl::IsUnavailable(end.status) ? static_cast<int>(kExitUnreachable) : code;
}

}  // namespace

int RunDatasetJob(const PredictOptions& options, const PredictPlan& plan, InferenceClient& client,
                  SignalWatcher& signals) {
  const bool json = options.connection.json;
  if (options.output.empty()) {
    return ReportUsage(
        absl::InvalidArgumentError("--dataset needs --output FILE, a .npz, .jsonl or .csv"), json);
  }
  const DatasetFile file{options.dataset, options.csv_inputs,
                         options.image_layout == "hwc" ? ImageLayout::kHwc : ImageLayout::kChw};
  absl::StatusOr<nlohmann::json> fingerprint = Fingerprint(file);
  if (!fingerprint.ok()) return ReportUsage(fingerprint.status(), json);
  // Before anything of the output is looked at.
  const absl::StatusOr<std::unique_ptr<OutputLock>> lock = OutputLock::Take(options.output);
  if (!lock.ok()) return ReportUsage(lock.status(), json);
  const ProgressFile progress(options.output, Identity(options, *std::move(fingerprint)));
  absl::StatusOr<OpenJob> open = Open(options, file, progress);
  if (!open.ok()) return ReportUsage(open.status(), json);

  const SystemClock clock;
  GrpcPredictor predictor(client, plan);
  ProgressDisplay display(stderr, clock, options.quiet, open->done.rows, open->reader->row_count());
  JobOptions job_options;
  job_options.concurrency = options.concurrency;
  job_options.batch = options.batch;
  const int64_t first_row = open->done.rows;
  PredictionJob job(
      *open->reader, predictor, *open->writer, display, clock, job_options,
      [&progress](const JobProgress& done, const nlohmann::json& state) {
        return progress.Save(done, state);
      },
      open->done);
  signals.Set([&job] { job.Stop(); });
  const JobSummary summary = job.Run();
  signals.Set(nullptr);
  display.Clear();
  const double elapsed = display.Elapsed();
  const OverlapMeter::Result times = display.PoolTimes();
  const JobEnd end = Finish(summary, *open->writer, progress);
  if (json) {
    nlohmann::json report = SummaryJson(summary, times, elapsed, first_row);
    if (!end.status.ok()) report.update(ErrorJson(end.status));
    std::puts(DumpJson(report).c_str());
  } else if (!options.quiet) {
    std::fputs(SummaryText(summary, times, elapsed, first_row).c_str(), stdout);
  }
  return Tell(summary, end, client);
}

}  // namespace tandem::client
