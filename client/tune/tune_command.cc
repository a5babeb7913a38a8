#include "client/tune/tune_command.h"

#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/bench/bench_input.h"
#include "client/connection_options.h"
#include "client/dataset/signal_watcher.h"
#include "client/exit_code.h"
#include "client/scratch_directory.h"
#include "client/text_file.h"
#include "client/tune/tune_trial.h"
#include "client/tune/tuned_config.h"
#include "client/tune/tuning.h"

namespace tandem::client {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kMostConcurrency = 4096;
constexpr std::chrono::seconds kInterruptedGrace(10);

constexpr char kTuneFooter[] =
    "Starts a server of its own for each setting, with this model alone on a CPU pool, and puts a "
    "closed loop of requests of one row on it. --duration is divided among the settings. Nothing "
    "else should run on the machine meanwhile. Without --write the change is shown and nothing is "
    "written.\n\n"
    "Examples:\n"
    "  tandem tune resnet18 --model-repository models\n"
    "  tandem tune resnet18 --model-repository models --concurrency 1 --write\n"
    "  tandem tune vad --model-repository models --shape x:512 --lanes 1,2 --threads 1\n\n"
    "Exit codes: 0 done, 1 no setting works, 2 bad usage, 130 interrupted.";

struct TuneOptions {
  std::string model;
  std::string repository = "models";
  std::string duration = "30s";
  int concurrency = 0;
  std::vector<uint32_t> lanes;
  std::vector<uint32_t> threads;
  std::vector<uint32_t> batches;
  std::vector<std::string> shapes;
  std::string worker;
  bool write = false;
};

uint32_t Cores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return static_cast<uint32_t>(std::max(CPU_COUNT(&cores), 1));
}

absl::StatusOr<std::string> ReadConfig(const fs::path& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path.string());
  if (text.ok()) return text;
  return absl::InvalidArgumentError(
      absl::StrCat(text.status().message(), "; a model needs one to be tuned"));
}

// In one step, so that a server never reads a half.
absl::Status WriteConfig(const fs::path& path, const std::string& text) {
  const fs::path fresh = path.string() + ".new";
  std::ofstream stream(fresh, std::ios::binary);
  stream << text;
  stream.close();
  std::error_code error;
  if (stream) fs::rename(fresh, path, error);
  if (stream && !error) return absl::OkStatus();
  fs::remove(fresh, error);
  return absl::InvalidArgumentError(absl::StrCat(path.string(), " cannot be written"));
}

absl::StatusOr<std::vector<TuneSetting>> Settings(const TuneOptions& options,
                                                  const BatchSizes& sizes) {
  std::vector<uint32_t> batches = options.batches;
  if (batches.empty()) {
    batches = DefaultBatches(sizes.most);
    std::erase_if(batches, [&](uint32_t batch) { return batch < sizes.least; });
    if (batches.empty()) batches = {sizes.most};
  }
  if (sizes.most == 0) batches = {0};
  for (const uint32_t batch : batches) {
    if (batch > sizes.most) {
      return absl::InvalidArgumentError(
          absl::StrCat("--max-batch ", batch, ": config.pbtxt allows ", sizes.most,
                       "; raise max_batch_size there if the model can take more"));
    }
  }
  if (options.lanes.empty() && options.threads.empty()) return DefaultSettings(Cores(), batches);
  std::vector<TuneSetting> settings;
  for (const uint32_t lanes : options.lanes.empty() ? std::vector{Cores()} : options.lanes) {
    for (const uint32_t threads : options.threads.empty() ? std::vector{1U} : options.threads) {
      for (const uint32_t batch : batches) settings.push_back({lanes, threads, batch});
    }
  }
  return settings;
}

absl::StatusOr<TuneLoad> ToLoad(const TuneOptions& options,
                                const std::vector<TuneSetting>& settings) {
  TuneLoad load;
  absl::Duration duration;
  if (!absl::ParseDuration(options.duration, &duration) || duration < absl::Milliseconds(100) ||
      duration > absl::Hours(24)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--duration ", options.duration, ": expected a time from 100ms to 24h, such as 30s"));
  }
  // A quarter of each trial is warm-up.
  load.duration = absl::ToChronoNanoseconds(duration / 1.25 / static_cast<double>(settings.size()));
  absl::StatusOr<std::map<std::string, Shape>> shapes = ParseShapes(options.shapes);
  if (!shapes.ok()) return shapes.status();
  load.shapes = *std::move(shapes);
  load.model = options.model;
  load.worker_program = options.worker;
  if (!options.worker.empty() && access(options.worker.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--worker ", options.worker, ": there is no such program"));
  }
  std::error_code error;
  load.program = fs::canonical("/proc/self/exe", error).string();
  uint32_t most = 0;
  for (const TuneSetting& setting : settings) {
    most = std::max({most, setting.lanes * std::max(setting.max_batch, 2U)});
  }
  load.concurrency = options.concurrency > 0 ? options.concurrency
                                             : static_cast<int>(std::min(most, kMostConcurrency));
  return load;
}

// `most`: rows that the configuration allows.
int Conclude(const TuneOptions& options, const fs::path& path, const std::string& config,
             uint32_t most, const std::vector<TuneTrial>& trials) {
  const std::optional<size_t> chosen = ChooseSetting(trials);
  std::printf("\n%s\n%s\n\n", RenderTrials(trials, Style::For(stdout)).c_str(), RuleText().c_str());
  if (!chosen.has_value()) {
    std::fprintf(stderr, "tandem: no setting works\n");
    return kExitFailed;
  }
  const absl::StatusOr<std::string> tuned = WithSetting(config, trials[*chosen].setting);
  if (!tuned.ok()) return ReportUsage(tuned.status());
  if (*tuned == config) {
    std::printf("%s says so already\n", path.c_str());
    return kExitOk;
  }
  std::printf("%s:\n%s", path.c_str(), Difference(config, *tuned).c_str());
  const uint32_t rows = trials[*chosen].setting.max_batch;
  if (rows < most) {
    std::printf("\nRequests may bring %u rows then, and %u before; --max-batch %u keeps that\n",
                rows, most, most);
  }
  if (!options.write) {
    std::printf("\nNothing is written: --write does that\n");
    return kExitOk;
  }
  if (absl::Status written = WriteConfig(path, *tuned); !written.ok()) return ReportUsage(written);
  std::printf("\nWritten; a running server takes it up with SIGHUP\n");
  return kExitOk;
}

int Run(const TuneOptions& options) {
  std::error_code error;
  if (!fs::is_directory(options.repository, error)) {
    return ReportUsage(absl::NotFoundError(absl::StrCat(
        "there is no model repository ", options.repository, "; --model-repository names it")));
  }
  // The server that is to try it finds it by its name.
  if (fs::path(options.model).filename() != options.model) {
    return ReportUsage(absl::InvalidArgumentError(
        absl::StrCat(options.model,
                     ": expected the model's name in the repository, not a path; "
                     "--model-repository names the repository")));
  }
  const fs::path folder = fs::path(options.repository) / options.model;
  const fs::path path = folder / "config.pbtxt";
  const absl::StatusOr<std::string> config = ReadConfig(path);
  if (!config.ok()) return ReportUsage(config.status());
  const absl::StatusOr<BatchSizes> sizes = BatchSizesOf(*config);
  if (!sizes.ok()) return ReportUsage(sizes.status());
  const absl::StatusOr<std::vector<TuneSetting>> settings = Settings(options, *sizes);
  if (!settings.ok()) return ReportUsage(settings.status());
  const absl::StatusOr<TuneLoad> load = ToLoad(options, *settings);
  if (!load.ok()) return ReportUsage(load.status());
  TrialServer server;
  const ScratchDirectory scratch("tandem-tune");
  if (scratch.path().empty())
    return ReportUsage(absl::InvalidArgumentError("no temporary folder can be made"));
  // Before any other thread; it ends before what it calls.
  SignalWatcher signals;
  // A trial's load cannot be cut short: the program ends beside it.
  signals.Set([&] {
    server.EndForGood(kInterruptedGrace);
    std::error_code ignored;
    fs::remove_all(scratch.path(), ignored);
    std::fprintf(stderr, "tandem: interrupted\n");
    std::_Exit(kExitInterrupted);
  });
  absl::StatusOr<TuneTrials> trials =
      TuneTrials::Prepare(folder.string(), scratch.path(), *load, server);
  if (!trials.ok()) return ReportUsage(trials.status());
  std::printf("%zu settings of %s in %s, %d calls at a time\n", settings->size(),
              options.model.c_str(), options.duration.c_str(), load->concurrency);
  if (options.batches.empty() && sizes->least > 1) {
    std::printf("Batches of less than %u are not tried: preferred_batch_size names that many\n",
                sizes->least);
  }
  std::vector<TuneTrial> done;
  for (const TuneSetting& setting : *settings) {
    const absl::StatusOr<std::string> with = WithSetting(*config, setting);
    if (!with.ok()) return ReportUsage(with.status());
    std::printf("  lanes %u, threads %u, batch %u …\n", setting.lanes, setting.threads,
                setting.max_batch);
    std::fflush(stdout);
    absl::StatusOr<TuneTrial> trial = trials->Run(*with, setting);
    if (!trial.ok()) return ReportUsage(trial.status());
    done.push_back(*std::move(trial));
  }
  return Conclude(options, path, *config, sizes->most, done);
}

}  // namespace

void AddTuneCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("tune", "Find lanes, threads and batch size for a model on the CPU");
  const auto options = std::make_shared<TuneOptions>();
  command->add_option("model", options->model, "Name of the model")->required();
  command->add_option("--model-repository", options->repository, "Folder of the models")
      ->capture_default_str();
  command->add_option("--duration", options->duration, "Time of all trials together, as 30s")
      ->capture_default_str();
  command
      ->add_option("--concurrency", options->concurrency,
                   "Calls at a time; 0: enough to fill the lanes' batches. 1 finds the setting "
                   "that answers a lone client first")
      ->check(CLI::Range(0U, kMostConcurrency))
      ->capture_default_str();
  const CLI::Range counts(1, 256);
  command->add_option("--lanes", options->lanes, "Lanes to try; by default up to the cores")
      ->delimiter(',')
      ->check(counts);
  command
      ->add_option("--threads", options->threads,
                   "Intra-op threads to try; by default the cores that the lanes leave")
      ->delimiter(',')
      ->check(counts);
  command
      ->add_option("--max-batch", options->batches,
                   "Batch sizes to try; by default 1, half and all of max_batch_size")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536));
  command
      ->add_option("--shape", options->shapes,
                   "NAME:D1,D2: sizes that the model leaves open, without the batch's")
      ->allow_extra_args(false);
  command->add_option("--worker", options->worker, "Program of the workers");
  command->add_flag("--write", options->write, "Write the choice into config.pbtxt");
  command->footer(kTuneFooter);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace tandem::client
