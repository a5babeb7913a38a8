#include "client/bench/bench_command.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/array_json.h"
#include "client/bench/bench_input.h"
#include "client/bench/load_generator.h"
#include "client/bench/load_levels.h"
#include "client/bench/load_report.h"
#include "client/connection_options.h"
#include "client/dataset/signal_watcher.h"
#include "client/exit_code.h"
#include "client/input_argument.h"
#include "client/number_range.h"
#include "client/text_file.h"

namespace tandem::client {
namespace {

constexpr size_t kPlotWidth = 50;

constexpr char kBenchFooter[] =
    "A closed loop (--concurrency) sends the next call when one is answered: it shows what the "
    "server can do. An open loop (--rate) sends calls when they are due, answered or not, and "
    "counts "
    "from then: it shows what clients see who do not wait for each other.\n\n"
    "Examples:\n"
    "  tandem bench digits_forest --concurrency 1:64\n"
    "  tandem bench speech --rate 1:8 --poisson --input x=speech.npy --input sr=16000\n"
    "  tandem bench resnet18 --target triton:8001 --concurrency 8 --seconds 20 --json\n\n"
    "Exit codes: 0 done, 1 calls failed or none was answered, 2 bad usage, 3 no server, or it "
    "was lost, 130 interrupted; what was measured until then is printed.";

struct BenchOptions {
  ConnectionOptions connection;
  std::string model;
  std::string version;
  std::string concurrency;
  std::string rate;
  bool poisson = false;
  std::vector<std::string> inputs;
  std::string input_data = "random";
  std::vector<std::string> shapes;
  int64_t batch = 1;
  double seconds = 5;
  double warm_up = 1;
  double slo_ms = 0;
  int channels = 0;
  int threads = 0;
};

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

absl::StatusOr<std::vector<LoadLevel>> Levels(const BenchOptions& options) {
  std::vector<LoadLevel> levels;
  if (!options.rate.empty()) {
    const absl::StatusOr<std::vector<double>> rates = ParseLevels("--rate", options.rate);
    if (!rates.ok()) return rates.status();
    for (const double rate : *rates) levels.push_back({0, rate, options.poisson});
    return levels;
  }
  const absl::StatusOr<std::vector<double>> counts =
      ParseLevels("--concurrency", options.concurrency.empty() ? "1" : options.concurrency);
  if (!counts.ok()) return counts.status();
  for (const double count : *counts) {
    constexpr double kMost = 4096;
    if (count != std::floor(count) || count > kMost) {
      return absl::InvalidArgumentError(absl::StrCat("--concurrency ", options.concurrency,
                                                     ": expected whole numbers up to ", kMost));
    }
    levels.push_back({static_cast<int>(count), 0, false});
  }
  return levels;
}

absl::StatusOr<std::vector<InputSet>> ReadInputs(const BenchOptions& options,
                                                 const Signature& signature) {
  if (!options.inputs.empty()) {
    absl::StatusOr<InputSet> inputs = ParseInputArguments(options.inputs);
    if (!inputs.ok()) return inputs.status();
    return std::vector<InputSet>{*std::move(inputs)};
  }
  if (options.input_data == "random" || options.input_data == "zero") {
    absl::StatusOr<std::map<std::string, Shape>> shapes = ParseShapes(options.shapes);
    if (!shapes.ok()) return shapes.status();
    absl::StatusOr<InputSet> inputs =
        MakeUpInputs(signature, {options.input_data == "zero", options.batch, *std::move(shapes)});
    if (!inputs.ok()) return inputs.status();
    return std::vector<InputSet>{*std::move(inputs)};
  }
  const absl::StatusOr<std::string> text = ReadTextFile(options.input_data);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--input-data: ", text.status().message(),
                     "; expected random, zero or a JSON file that can be read"));
  }
  absl::StatusOr<std::vector<InputSet>> sets =
      InputsFromJson(nlohmann::json::parse(*text, nullptr, false), signature);
  if (sets.ok()) return sets;
  return absl::InvalidArgumentError(
      absl::StrCat("--input-data ", options.input_data, ": ", sets.status().message()));
}

// One call of each kind, so that what the server refuses is told before anything is measured.
absl::Status TryEach(InferenceClient& client, const std::vector<InferCall>& calls) {
  for (const InferCall& call : calls) {
    if (const absl::StatusOr<InferReply> reply = client.Infer(call); !reply.ok())
      return reply.status();
  }
  return absl::OkStatus();
}

std::vector<grpc::ByteBuffer> Serialise(const std::vector<InferCall>& calls, double slo_ms) {
  std::vector<grpc::ByteBuffer> requests;
  for (const InferCall& call : calls) {
    inference::ModelInferRequest request = MakeInferRequest(call);
    if (slo_ms > 0) {
      (*request.mutable_parameters())["timeout"].set_int64_param(
          static_cast<int64_t>(slo_ms * 1e3));
    }
    const grpc::Slice slice(request.SerializeAsString());
    requests.emplace_back(&slice, 1);
  }
  return requests;
}

LoadOptions ToLoadOptions(const BenchOptions& options) {
  LoadOptions load;
  load.target = options.connection.target;
  load.channels = options.channels;
  load.threads = options.threads > 0
                     ? options.threads
                     : static_cast<int>(std::max(std::thread::hardware_concurrency() / 4, 1U));
  load.warm_up = Seconds(options.warm_up);
  load.duration = Seconds(options.seconds);
  load.slo = Seconds(options.slo_ms / 1e3);
  if (options.connection.timeout > 0) load.timeout = Seconds(options.connection.timeout);
  return load;
}

void PrintLevels(const BenchOptions& options, const std::vector<LoadResult>& results,
                 const absl::Status& end) {
  if (options.connection.json) {
    nlohmann::json report = {{"target", options.connection.target},
                             {"model", options.model},
                             {"seconds", options.seconds},
                             {"levels", nlohmann::json::array()}};
    for (const LoadResult& result : results) report["levels"].push_back(ToJson(result));
    if (!end.ok()) report.update(ErrorJson(end));
    std::puts(DumpJson(report).c_str());
  } else if (!results.empty()) {
    std::printf("%s\n%s", RenderTable(results, Style::For(stdout)).c_str(),
                RenderPlot(results, kPlotWidth).c_str());
  }
  std::fflush(stdout);
  for (const LoadResult& result : results) {
    if (const std::string remark = Remark(result); !remark.empty())
      std::fprintf(stderr, "tandem: %s\n", remark.c_str());
  }
  if (!end.ok()) std::fprintf(stderr, "tandem: %s\n", std::string(end.message()).c_str());
}

// Prints what went wrong in calls; the exit code.
int ReportFailures(const std::vector<LoadResult>& results) {
  uint64_t failures = 0;
  bool complete = true;
  std::string first_failure;
  for (const LoadResult& result : results) {
    failures += result.failures;
    complete = complete && result.latencies.count() > 0;
    if (first_failure.empty()) first_failure = result.first_failure;
  }
  if (failures > 0) {
    std::fprintf(stderr, "tandem: %s calls failed, the first with: %s\n",
                 absl::StrCat(failures).c_str(), Printable(first_failure).c_str());
  }
  return failures == 0 && complete ? kExitOk : kExitFailed;
}

std::string CountOfLevels(size_t done, size_t all) {
  return absl::StrCat(done, " of ", all,
                      all == 1 ? " level was measured" : " levels were measured");
}

int Measure(const BenchOptions& options, const std::vector<LoadLevel>& levels,
            const std::vector<grpc::ByteBuffer>& requests, SignalWatcher& signals) {
  std::mutex mutex;
  std::vector<LoadResult> results;
  // A level cannot be cut short: the program ends beside it.
  signals.Set([&] {
    const std::lock_guard lock(mutex);
    PrintLevels(options, results,
                absl::CancelledError(
                    absl::StrCat("interrupted; ", CountOfLevels(results.size(), levels.size()))));
    std::_Exit(kExitInterrupted);
  });
  bool lost = false;
  for (const LoadLevel& level : levels) {
    LoadResult result = GenerateLoad(ToLoadOptions(options), level, requests);
    lost = result.server_lost;
    const std::lock_guard lock(mutex);
    // Where there was no connection from the start there is nothing to tell.
    if (!lost || result.failures > 0) results.push_back(std::move(result));
    if (lost) break;
  }
  signals.Set(nullptr);
  const absl::Status end =
      lost ? absl::UnavailableError(absl::StrCat("the server at ", options.connection.target,
                                                 " does not answer any more; ",
                                                 CountOfLevels(results.size(), levels.size())))
           : absl::OkStatus();
  PrintLevels(options, results, end);
  const int code = ReportFailures(results);
  return lost ? kExitUnreachable : code;
}

int Run(const BenchOptions& options) {
  const bool json = options.connection.json;
  const absl::StatusOr<std::vector<LoadLevel>> levels = Levels(options);
  if (!levels.ok()) return ReportUsage(levels.status(), json);
  SignalWatcher signals;
  InferenceClient client(options.connection.ToClientOptions());
  const absl::StatusOr<Signature> signature =
      FetchSignature(client, options.model, options.version);
  if (!signature.ok()) return Report(signature.status(), client, json);
  absl::StatusOr<std::vector<InputSet>> sets = ReadInputs(options, *signature);
  if (!sets.ok()) {
    const int usage = ReportUsage(sets.status(), json);
    return absl::IsFailedPrecondition(sets.status()) ? kExitUnreachable : usage;
  }
  std::vector<InferCall> calls;
  for (InputSet& set : *sets) {
    absl::StatusOr<InputSet> fitted = FitInputs(*signature, std::move(set));
    if (!fitted.ok()) return ReportUsage(fitted.status(), json);
    calls.push_back({options.model, options.version, *std::move(fitted), {}});
  }
  if (const absl::Status tried = TryEach(client, calls); !tried.ok())
    return Report(tried, client, json);
  return Measure(options, *levels, Serialise(calls, options.slo_ms), signals);
}

void AddLoadOptions(CLI::App& command, BenchOptions& options) {
  CLI::Option* concurrency = command.add_option(
      "--concurrency", options.concurrency,
      "Closed loop: calls at a time; a number, a list 1,4,16, or a range 1:64 (doubled) or 1:64:8");
  CLI::Option* rate =
      command.add_option("--rate", options.rate, "Open loop: calls a second; likewise");
  rate->excludes(concurrency);
  command.add_flag("--poisson", options.poisson, "With --rate: gaps as of independent clients")
      ->needs(rate);
  command.add_option("--seconds", options.seconds, "Time that is measured, for each level")
      ->check(NumberFrom(0.01, 1e6))
      ->capture_default_str();
  command.add_option("--warm-up", options.warm_up, "Seconds before that")
      ->check(NumberFrom(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option(
          "--slo", options.slo_ms,
          "Milliseconds within which an answer is of use; sent as the request's timeout, and "
          "counted in --json as within_slo_per_second")
      ->check(NumberFrom(0.001, 1e6));
  command
      .add_option("--channels", options.channels,
                  "Connections; 0: one for each four calls, at most 16")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      .add_option("--threads", options.threads, "Threads of the client; 0: one for each four cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

void AddInputOptions(CLI::App& command, BenchOptions& options) {
  CLI::Option* inputs =
      command.add_option("-i,--input", options.inputs, "NAME=VALUE as for `tandem infer`")
          ->allow_extra_args(false);
  command
      .add_option(
          "--input-data", options.input_data,
          "random, zero, or a JSON file of requests that are sent in turn, as perf_analyzer "
          "takes it: {\"data\": [{\"INPUT0\": VALUE}, …]}, where VALUE is lists, "
          "{\"content\": [1, 2], \"shape\": [2, 1]} or {\"b64\": \"…\", \"shape\": [2, 1]}")
      ->capture_default_str()
      ->excludes(inputs);
  command
      .add_option("--shape", options.shapes,
                  "NAME:D1,D2: sizes that the model leaves open, all of them or without the "
                  "batch's; NAME: is not needed for its only input")
      ->allow_extra_args(false);
  command.add_option("--batch", options.batch, "Rows of each made-up request")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
}

}  // namespace

void AddBenchCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("bench", "Put a load on a model and measure");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("model", options->model, "Name of the model")->required();
  command->add_option("--model-version", options->version, "Version; the latest by default");
  AddLoadOptions(*command, *options);
  AddInputOptions(*command, *options);
  AddConnectionOptions(*command, options->connection);
  command->get_option("--timeout")
      ->description("Seconds that calls may take beyond the measured time; then they are ended");
  command->footer(kBenchFooter);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace tandem::client
