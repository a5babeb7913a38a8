#include "client/dataset/jsonl_writer.h"

#include "absl/memory/memory.h"
#include "client/array_json.h"

namespace tandem::client {

absl::StatusOr<std::unique_ptr<JsonlWriter>> JsonlWriter::Open(const std::string& path,
                                                               const nlohmann::json& state) {
  absl::StatusOr<OutputFile> file =
      OutputFile::Open(path + ".partial", state.is_null() ? 0 : state.at("bytes").get<int64_t>());
  if (!file.ok()) return file.status();
  return absl::WrapUnique(new JsonlWriter(path, *std::move(file)));
}

absl::Status JsonlWriter::Write(const Prediction& prediction) {
  nlohmann::ordered_json line = {{"row", prediction.row}};
  if (!prediction.source.empty()) line["source"] = prediction.source;
  if (!prediction.status.ok()) line["error"] = StatusText(prediction.status);
  for (const ModelPrediction& model : prediction.models) {
    if (!model.status.ok()) {
      line["errors"][model.key] = StatusText(model.status);
      continue;
    }
    line["models"][model.key] = nlohmann::ordered_json::object();
    for (const Array& output : model.outputs) {
      line["models"][model.key][output.name] = ArrayToJson(output);
    }
  }
  if (prediction.combined.has_value()) {
    line["combined"][prediction.combined->name] = ArrayToJson(*prediction.combined);
  }
  return file_.Append(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                      "\n");
}

absl::StatusOr<nlohmann::json> JsonlWriter::Checkpoint() {
  const absl::Status status = file_.Sync();
  if (!status.ok()) return status;
  return nlohmann::json{{"bytes", file_.size()}};
}

absl::Status JsonlWriter::Complete() {
  const absl::Status status = file_.Sync();
  return status.ok() ? MoveInPlace(file_.path(), path_) : status;
}

absl::StatusOr<std::string> JsonlWriter::Suspend() {
  const absl::Status status = file_.Sync();
  if (!status.ok()) return status;
  return file_.path();
}

}  // namespace tandem::client
