#include "client/predict_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/array_json.h"

namespace tandem::client {
namespace {

using Json = nlohmann::json;

std::string Milliseconds(double microseconds) {
  return absl::StrFormat("%.2f ms", microseconds / 1000);
}

Json ArrayJson(const Array& array) {
  return {{"datatype", TypeText(array.type)},
          {"shape", std::vector<int64_t>(array.shape.begin(), array.shape.end())},
          {"data", ArrayToJson(array)}};
}

std::string OutputText(const Array& output) {
  return absl::StrCat(Printable(output.name), " ", Printable(ArrayToLine(output)));
}

Json ModelJson(const ModelReply& model) {
  Json outputs = Json::object();
  for (const Array& output : model.outputs) outputs[output.name] = ArrayJson(output);
  const v1::Placement& where = model.placement;
  return {{"key", model.key},
          {"model", model.model},
          {"version", model.version},
          {"status", absl::StatusCodeToString(model.status.code())},
          {"message", std::string(model.status.message())},
          {"pool", where.pool()},
          {"device", where.device()},
          {"worker", where.worker()},
          {"batch_size", where.batch_size()},
          {"queue_us", where.queue_us()},
          {"compute_us", where.compute_us()},
          {"start_us", where.start_us()},
          {"end_us", where.end_us()},
          {"outputs", std::move(outputs)}};
}

}  // namespace

std::string RenderReply(const PredictReply& reply, const Style& style) {
  TextTable table({"MODEL", "VERSION", "POOL", "DEVICE", "WORKER", "BATCH", "QUEUE", "COMPUTE",
                   "STATUS", "OUTPUT"});
  for (const ModelReply& model : reply.models) {
    const v1::Placement& where = model.placement;
    const bool ran = !where.pool().empty();
    const std::string status = absl::StatusCodeToString(model.status.code());
    table.AddRow({Printable(model.key), model.version, where.pool(), where.device(), where.worker(),
                  ran ? absl::StrCat(where.batch_size()) : "",
                  ran ? Milliseconds(where.queue_us()) : "",
                  ran ? Milliseconds(where.compute_us()) : "",
                  model.status.ok() ? style.Good(status) : style.Bad(status),
                  !model.status.ok()      ? Printable(std::string(model.status.message()))
                  : model.outputs.empty() ? ""
                                          : OutputText(model.outputs[0])});
    for (size_t i = 1; i < model.outputs.size(); ++i) {
      table.AddRow({"", "", "", "", "", "", "", "", "", OutputText(model.outputs[i])});
    }
  }
  std::string text = table.Render(style);
  if (reply.combined.has_value()) {
    absl::StrAppend(&text, "\n", style.Heading("Merged"), "  ", OutputText(*reply.combined), "\n");
  }
  absl::StrAppend(&text, style.Faint(absl::StrCat("Answered in ", Milliseconds(reply.total_us))),
                  "\n");
  return text;
}

Json ReplyToJson(const PredictReply& reply) {
  Json results = Json::array();
  for (const ModelReply& model : reply.models) results.push_back(ModelJson(model));
  Json json = {{"id", reply.id}, {"total_us", reply.total_us}, {"results", std::move(results)}};
  if (reply.combined.has_value()) {
    json["combined"] = ArrayJson(*reply.combined);
    json["combined"]["name"] = reply.combined->name;
  }
  return json;
}

}  // namespace tandem::client
