#include "client/predict_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "client/array_json.h"
#include "client/dataset_command.h"
#include "client/exit_code.h"
#include "client/input_argument.h"
#include "client/predict_options.h"
#include "client/predict_report.h"

namespace tandem::client {
namespace {

constexpr char kPredictFooter[] =
    "Without --dataset it sends one request and shows the merged reply. With --dataset it streams "
    "the rows\n"
    "of a file through the server, to both lists of models at once, and writes the merged "
    "predictions.\n\n"
    "Examples:\n"
    "  tandem predict --cpu-models digits_forest,digits_linear --gpu-models digits_conv \\\n"
    "      --input image=digit.npy --combine majority_vote\n"
    "  tandem predict --models digits_forest,digits_conv --input digit.npy \\\n"
    "      --combine weighted_mean --combine-output digits_forest:probabilities:1 \\\n"
    "      --combine-output digits_conv:probabilities:2\n"
    "  tandem predict --dataset digits.npy --cpu-models digits_forest --gpu-models digits_conv \\\n"
    "      --output digits.npz\n"
    "  tandem predict --dataset big.csv --models digits_conv --output big.jsonl --resume\n\n"
    "Exit codes: 0 done, 1 the request or some rows failed, 2 bad usage, 3 no server or lost, 130 "
    "interrupted.";

// Asks for what the models take. Under the policy partial, a model of which the server does not say
// it keeps its place, as long as another one is known: the reply has a status for each.
absl::StatusOr<std::vector<Signature>> FetchSignatures(InferenceClient& client,
                                                       const v1::PredictRequest& request) {
  const bool partial = request.merge_policy() == v1::MERGE_POLICY_PARTIAL;
  std::vector<Signature> signatures;
  absl::Status first_error;
  bool any_known = false;
  for (const auto* calls : {&request.cpu_models(), &request.gpu_models(), &request.models()}) {
    for (const v1::ModelCall& call : *calls) {
      absl::StatusOr<Signature> signature = FetchSignature(client, call.name(), call.version());
      if (signature.ok()) {
        any_known = true;
        signatures.push_back(*std::move(signature));
        continue;
      }
      if (!partial || !client.is_connected()) return signature.status();
      first_error.Update(signature.status());
      signatures.push_back({call.name(), {}, /*known=*/false});
    }
  }
  if (!any_known) return first_error;
  return signatures;
}

int RunOne(const PredictOptions& options, const PredictPlan& plan, std::vector<Array> inputs,
           InferenceClient& client) {
  const bool json = options.connection.json;
  const absl::StatusOr<v1::PredictRequest> request = plan.Build({&inputs, 1});
  if (!request.ok()) return Report(request.status(), client, json);
  const absl::StatusOr<v1::PredictResponse> response = client.Predict(*request);
  if (!response.ok()) return Report(response.status(), client, json);
  const absl::StatusOr<PredictReply> reply = DecodePredictResponse(*response);
  if (!reply.ok()) return Report(reply.status(), client, json);
  if (json) {
    std::puts(DumpJson(ReplyToJson(*reply)).c_str());
  } else {
    std::fputs(RenderReply(*reply, Style::For(stdout)).c_str(), stdout);
  }
  for (const ModelReply& model : reply->models) {
    if (!model.status.ok()) return kExitFailed;
  }
  return kExitOk;
}

int Run(const PredictOptions& options) {
  const bool json = options.connection.json;
  absl::StatusOr<v1::PredictRequest> request = MakeRequest(options.words);
  if (!request.ok()) return ReportUsage(request.status(), json);
  absl::StatusOr<std::vector<Array>> inputs = ParseInputArguments(options.inputs);
  if (!inputs.ok()) return ReportUsage(inputs.status(), json);
  const bool job = !options.dataset.empty();
  if (!job && inputs->empty()) {
    return ReportUsage(
        absl::InvalidArgumentError("give --input for one request, or --dataset for many"), json);
  }
  std::optional<SignalWatcher> signals;
  if (job) signals.emplace();
  InferenceClient client(options.connection.ToClientOptions());
  absl::StatusOr<std::vector<Signature>> signatures = FetchSignatures(client, *request);
  if (!signatures.ok()) return Report(signatures.status(), client, json);
  if (job) {
    const PredictPlan plan(*std::move(request), *std::move(signatures), *std::move(inputs),
                           !options.no_batch_dim);
    return RunDatasetJob(options, plan, client, *signals);
  }
  const PredictPlan plan(*std::move(request), *std::move(signatures), {}, false);
  return RunOne(options, plan, *std::move(inputs), client);
}

void AddModelOptions(CLI::App& command, PredictOptions& options) {
  PredictTemplate& words = options.words;
  command
      .add_option("--cpu-models", words.cpu_models,
                  "Models to run on a CPU pool: NAME or NAME:VERSION, by commas")
      ->delimiter(',');
  command.add_option("--gpu-models", words.gpu_models, "Models to run on a GPU pool")
      ->delimiter(',');
  command.add_option("--models", words.models, "Models to run wherever the server likes")
      ->delimiter(',');
  command
      .add_option(
          "-i,--input", options.inputs,
          "NAME=VALUE: VALUE is a .npy or .json file, or JSON; with --dataset, sent with every row")
      ->allow_extra_args(false);
  command
      .add_option("--merge-policy", words.merge_policy,
                  "all: one failure fails the call; partial: what is ready counts")
      ->check(CLI::IsMember({"all", "partial"}))
      ->capture_default_str();
  command.add_option("--combine", words.combine, "Join one output of each model into one")
      ->check(CLI::IsMember({"mean", "weighted_mean", "majority_vote"}));
  command
      .add_option("--combine-output", words.combine_outputs,
                  "MODEL:OUTPUT[:WEIGHT] to combine; by default the first output of every model")
      ->allow_extra_args(false);
}

void AddJobOptions(CLI::App& command, PredictOptions& options) {
  CLI::Option* dataset =
      command.add_option("--dataset", options.dataset,
                         "A .npy, .npz, .csv or .jsonl file, or a folder of .png and .jpg images");
  const auto add = [&](CLI::Option* option) { option->needs(dataset)->group("Data set"); };
  dataset->group("Data set");
  add(command.add_option("-o,--output", options.output,
                         "Where the predictions go: .npz, .jsonl or .csv"));
  add(command.add_option("--concurrency", options.concurrency, "Requests under way at a time")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str());
  add(command.add_option("--batch", options.batch, "Rows in a request")
          ->check(CLI::Range(1, 4096))
          ->capture_default_str());
  add(command.add_flag("--resume", options.resume, "Go on where an interrupted job stopped"));
  add(command.add_flag("--quiet", options.quiet, "No progress, no summary; errors only"));
  add(command.add_flag(
      "--no-batch-dim", options.no_batch_dim,
      "Do not put a batch dimension before rows for models that do not say their shapes"));
  add(command
          .add_option("--csv-input", options.csv_inputs,
                      "NAME=COLUMNS: columns of the .csv (names or first-last numbers from 1) that "
                      "make that input")
          ->allow_extra_args(false));
  add(command.add_option("--image-layout", options.image_layout, "Order of an image's dimensions")
          ->check(CLI::IsMember({"chw", "hwc"}))
          ->capture_default_str());
}

}  // namespace

void AddPredictCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("predict", "Ask many models at once and merge their answers");
  const auto options = std::make_shared<PredictOptions>();
  AddModelOptions(*command, *options);
  AddConnectionOptions(*command, options->connection);
  AddJobOptions(*command, *options);
  command->footer(kPredictFooter);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace tandem::client
