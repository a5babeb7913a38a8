// Tandem from C++, by the project's client library: one model alone, then all of them in one
// request with one merged reply.
//
//   tandem-example-client 127.0.0.1:8001 '[[1, 2, 3, 4]]' digits_forest digits_conv
//
// The input is JSON or a .npy file, with the batch dimension; every model has one input.
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array_json.h"
#include "client/inference_client.h"
#include "client/input_argument.h"
#include "client/predict_plan.h"
#include "client/reply.h"
#include "client/signature.h"

namespace {

using namespace tandem::client;  // NOLINT: a program of one file.

void Print(const std::string& who, const Array& output) {
  std::printf("%s %s %s\n", who.c_str(), output.name.c_str(), ArrayToLine(output).c_str());
}

// ModelInfer: the name and type that the model wants are asked of the server.
absl::Status InferOne(InferenceClient& client, const std::string& model, const Array& input) {
  const absl::StatusOr<Signature> signature = FetchSignature(client, model, "");
  if (!signature.ok()) return signature.status();
  const absl::StatusOr<std::vector<Array>> inputs = FitInputs(*signature, {input});
  if (!inputs.ok()) return inputs.status();
  const absl::StatusOr<InferReply> reply = client.Infer({model, "", *inputs, {}});
  if (!reply.ok()) return reply.status();
  for (const Array& output : reply->outputs) Print("alone: " + model, output);
  return absl::OkStatus();
}

// Predict: every model gets the input, each on the pool where it ends first; the mean of their
// first outputs comes with the reply. What is not ready when the time is over fails alone.
absl::Status PredictAll(InferenceClient& client, const std::vector<std::string>& models,
                        const Array& input) {
  PredictTemplate words;
  words.models = models;
  words.merge_policy = "partial";
  words.combine = "mean";
  absl::StatusOr<tandem::v1::PredictRequest> request = MakeRequest(words);
  if (!request.ok()) return request.status();
  std::vector<Signature> signatures;
  for (const std::string& model : models) {
    absl::StatusOr<Signature> signature = FetchSignature(client, model, "");
    if (!signature.ok()) return signature.status();
    signatures.push_back(*std::move(signature));
  }
  const PredictPlan plan(*std::move(request), std::move(signatures), {}, false);
  const PredictPlan::RowInputs row = {input};
  absl::StatusOr<tandem::v1::PredictRequest> filled = plan.Build({&row, 1});
  if (!filled.ok()) return filled.status();
  const absl::StatusOr<tandem::v1::PredictResponse> response = client.Predict(*filled);
  if (!response.ok()) return response.status();
  const absl::StatusOr<PredictReply> reply = DecodePredictResponse(*response);
  if (!reply.ok()) return reply.status();
  for (const ModelReply& model : reply->models) {
    if (!model.status.ok()) {
      std::printf("%s: %s\n", model.key.c_str(), model.status.ToString().c_str());
    }
    for (const Array& output : model.outputs) {
      Print(model.key + " on " + model.placement.worker() + ":", output);
    }
  }
  if (reply->combined.has_value()) Print("together:", *reply->combined);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s HOST:PORT INPUT MODEL...\n", argv[0]);
    return 2;
  }
  const std::vector<std::string> models(argv + 3, argv + argc);
  const absl::StatusOr<Array> input = ParseInputArgument(argv[2]);
  absl::Status status = input.status();
  if (status.ok()) {
    InferenceClient client({argv[1], std::chrono::seconds(5)});
    status = InferOne(client, models.front(), *input);
    if (status.ok()) status = PredictAll(client, models, *input);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
