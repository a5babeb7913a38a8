#include "client/dataset/prediction_writer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/dataset/csv_writer.h"
#include "client/dataset/jsonl_writer.h"
#include "client/dataset/npz_writer.h"

namespace tandem::client {
namespace {

template <typename Writer>
absl::StatusOr<std::unique_ptr<PredictionWriter>> AsWriter(
    absl::StatusOr<std::unique_ptr<Writer>> writer) {
  if (!writer.ok()) return writer.status();
  return *std::move(writer);
}

}  // namespace

absl::Status Prediction::FirstError() const {
  if (!status.ok()) return status;
  for (const ModelPrediction& model : models) {
    if (!model.status.ok()) {
      return absl::Status(model.status.code(),
                          absl::StrCat("model \"", model.key, "\": ", model.status.message()));
    }
  }
  return absl::OkStatus();
}

std::string StatusText(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

absl::StatusOr<std::unique_ptr<PredictionWriter>> OpenWriter(const std::string& path,
                                                             bool named_rows,
                                                             const nlohmann::json& state) {
  try {
    if (absl::EndsWith(path, ".jsonl")) return AsWriter(JsonlWriter::Open(path, state));
    if (absl::EndsWith(path, ".csv")) return AsWriter(CsvWriter::Open(path, named_rows, state));
    if (absl::EndsWith(path, ".npz")) return AsWriter(NpzWriter::Open(path, state));
  } catch (const nlohmann::json::exception&) {
    // `state` came from a file that anyone may have changed.
    return absl::InvalidArgumentError(
        absl::StrCat(path, ".progress is damaged: delete it to start again"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the output is a .npz, .jsonl or .csv file, not \"", path, "\""));
}

}  // namespace tandem::client
