#include "server/model_config_limits.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Unoffered {
  absl::string_view field;
  absl::string_view reason;
};

// The model's answers depend on these.
constexpr Unoffered kRefused[] = {
    {"ensemble_scheduling", "ensembles are not offered; call the models with one Predict instead"},
    {"sequence_batching", "sequence batching is not offered"},
    {"batch_input", "batch inputs are not offered"},
    {"batch_output", "batch outputs are not offered"},
    {"model_operations", "libraries of custom operations are not offered"},
    {"cc_model_filenames", "a file for each compute capability is not offered"},
};

// These are hints, or concern features that do not change an answer.
constexpr absl::string_view kPassedOver[] = {
    "model_warmup",   "metric_tags",   "model_repository_agents",
    "response_cache", "model_metrics", "runtime"};

std::vector<const FieldDescriptor*> FieldsOf(const Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  return fields;
}

// Notes those of the fields that are set.
void NoteThese(const Message& message, const TextProtoLines& lines,
               const std::set<absl::string_view>& fields, std::vector<std::string>* notes) {
  for (const FieldDescriptor* field : FieldsOf(message)) {
    if (fields.count(field->name()) == 0) continue;
    notes->push_back(
        absl::StrCat(lines.Where(message, field->name()), ": ", field->name(), " is passed over"));
  }
}

// Notes the fields that are set and not among the known ones.
void NoteOthers(const Message& message, const TextProtoLines& lines,
                const std::set<absl::string_view>& known, std::vector<std::string>* notes) {
  for (const FieldDescriptor* field : FieldsOf(message)) {
    if (known.count(field->name()) > 0) continue;
    notes->push_back(
        absl::StrCat(lines.Where(message, field->name()), ": ", field->name(), " is passed over"));
  }
}

}  // namespace

absl::Status RefuseUnoffered(const inference::ModelConfig& message, const TextProtoLines& lines,
                             std::vector<std::string>* notes) {
  for (const FieldDescriptor* field : FieldsOf(message)) {
    for (const Unoffered& refused : kRefused) {
      if (field->name() == refused.field) {
        return FieldError(lines, message, refused.field, refused.reason);
      }
    }
  }
  NoteThese(message, lines, {std::begin(kPassedOver), std::end(kPassedOver)}, notes);
  for (int i = 0; i < message.input_size(); ++i) {
    NoteThese(message.input(i), lines.Nested(message, "input", i),
              {"format", "is_non_linear_format_io"}, notes);
  }
  for (int i = 0; i < message.output_size(); ++i) {
    NoteThese(message.output(i), lines.Nested(message, "output", i),
              {"label_filename", "is_non_linear_format_io"}, notes);
  }
  if (message.model_transaction_policy().decoupled()) {
    return FieldError(lines, message, "model_transaction_policy",
                      "decoupled models are not offered");
  }
  for (int i = 0; i < message.instance_group_size(); ++i) {
    NoteOthers(message.instance_group(i), lines.Nested(message, "instance_group", i),
               {"name", "kind", "count"}, notes);
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
