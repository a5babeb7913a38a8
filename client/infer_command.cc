#include "client/infer_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/array_json.h"
#include "client/connection_options.h"
#include "client/exit_code.h"
#include "client/input_argument.h"
#include "client/signature.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

struct InferOptions {
  ConnectionOptions connection;
  std::string model;
  std::string version;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

void Print(const InferReply& reply, bool json) {
  if (json) {
    nlohmann::json outputs = nlohmann::json::object();
    for (const Array& output : reply.outputs) {
      outputs[output.name] = {
          {"datatype", TypeText(output.type)},
          {"shape", std::vector<int64_t>(output.shape.begin(), output.shape.end())},
          {"data", ArrayToJson(output)}};
    }
    std::puts(DumpJson({{"model", reply.model}, {"version", reply.version}, {"outputs", outputs}})
                  .c_str());
    return;
  }
  TextTable table({"OUTPUT", "VALUE"});
  for (const Array& output : reply.outputs) {
    table.AddRow({Printable(output.name), Printable(ArrayToLine(output))});
  }
  const Style style = Style::For(stdout);
  std::printf("%s\n%s", style.Faint(absl::StrCat(reply.model, " version ", reply.version)).c_str(),
              table.Render(style).c_str());
}

int Run(const InferOptions& options) {
  const bool json = options.connection.json;
  absl::StatusOr<std::vector<Array>> inputs = ParseInputArguments(options.inputs);
  if (!inputs.ok()) return ReportUsage(inputs.status(), json);
  InferenceClient client(options.connection.ToClientOptions());
  const absl::StatusOr<Signature> signature =
      FetchSignature(client, options.model, options.version);
  if (!signature.ok()) return Report(signature.status(), client, json);
  inputs = FitInputs(*signature, *std::move(inputs));
  if (!inputs.ok()) return Report(inputs.status(), client, json);
  const absl::StatusOr<InferReply> reply =
      client.Infer({options.model, options.version, *std::move(inputs), options.outputs});
  if (!reply.ok()) return Report(reply.status(), client, json);
  Print(*reply, json);
  return kExitOk;
}

}  // namespace

void AddInferCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("infer", "Send one request to one model");
  const auto options = std::make_shared<InferOptions>();
  command->add_option("model", options->model, "Name of the model")->required();
  command->add_option("--model-version", options->version, "Version; the latest by default");
  command
      ->add_option(
          "-i,--input", options->inputs,
          "NAME=VALUE: VALUE is a .npy or .json file, or JSON; NAME= is not needed for a model's "
          "only input")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--outputs", options->outputs, "Outputs to return; all by default")
      ->delimiter(',');
  AddConnectionOptions(*command, options->connection);
  command->footer(
      "Values are converted to the model's types, and a batch dimension is added where it is "
      "missing.\n\n"
      "Examples:\n"
      "  tandem infer digits_forest --input image=digit.npy\n"
      "  tandem infer my_model --input '[[1.5, 2, 3]]'\n"
      "  tandem infer speech --input x=speech.npy --input sr=16000 --json\n\n"
      "Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 no server.");
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace tandem::client
