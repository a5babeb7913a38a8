#include "client/tune/tuned_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model_config.pb.h"

namespace tandem::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;
using Tree = TextFormat::ParseInfoTree;

constexpr char kThreadsKey[] = "intra_op_thread_count";

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int /*column*/, const std::string& message) override {
    if (text.empty()) text = absl::StrCat("config.pbtxt:", line + 1, ": ", message);
  }
  std::string text;
};

// A parsed configuration that remembers where its fields stand, and collects changes to its text.
class ConfigText {
 public:
  explicit ConfigText(const std::string& text) : text_(text) {}

  absl::Status Parse() {
    FirstError error;
    TextFormat::Parser parser;
    parser.RecordErrorsTo(&error);
    parser.WriteLocationsTo(&tree_);
    if (parser.ParseFromString(text_, &message_)) return absl::OkStatus();
    return absl::InvalidArgumentError(error.text);
  }

  const inference::ModelConfig& message() const { return message_; }
  const Tree& tree() const { return tree_; }

  static const FieldDescriptor* Field(const Descriptor* type, const std::string& name) {
    return type->FindFieldByName(name);
  }

  // Where the field begins and ends; the field stands in the text.
  std::pair<size_t, size_t> Range(const Tree& tree, const FieldDescriptor* field) const {
    const TextFormat::ParseLocationRange range =
        tree.GetLocationRange(field, field->is_repeated() ? 0 : -1);
    return {Offset(range.start), Offset(range.end)};
  }

  // Gives the field, whose value is one word or number, another one.
  void Replace(const Tree& tree, const FieldDescriptor* field, const std::string& value) {
    const auto [begin, end] = Range(tree, field);
    const size_t colon = text_.find(':', begin);
    const size_t start = text_.find_first_not_of(" \t\n", colon + 1);
    changes_[start] = {end - start, value};
  }
  void Insert(size_t at, const std::string& added) { changes_[at] = {0, added}; }
  void Append(const std::string& line) { absl::StrAppend(&appended_, line, "\n"); }

  const std::string& text() const { return text_; }
  std::string Changed() const {
    std::string changed = text_;
    for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
      changed.replace(change->first, change->second.first, change->second.second);
    }
    if (!appended_.empty() && !changed.empty() && changed.back() != '\n') changed += '\n';
    return changed + appended_;
  }

 private:
  // The parser counts a tabulator as reaching to the next multiple of 8.
  size_t Offset(const TextFormat::ParseLocation& location) const {
    size_t at = 0;
    for (int line = 0; line < location.line; ++line) at = text_.find('\n', at) + 1;
    for (int column = 0; column < location.column && at < text_.size(); ++at) {
      column += text_[at] == '\t' ? 8 - column % 8 : 1;
    }
    return at;
  }

  const std::string& text_;
  inference::ModelConfig message_;
  Tree tree_;
  // Offset → bytes to leave out, and what to put there.
  std::map<size_t, std::pair<size_t, std::string>> changes_;
  std::string appended_;
};

void SetMaxBatch(ConfigText& config, uint32_t max_batch) {
  const Descriptor* type = inference::ModelConfig::descriptor();
  if (config.message().max_batch_size() != static_cast<int>(max_batch)) {
    const FieldDescriptor* field = ConfigText::Field(type, "max_batch_size");
    if (config.tree().GetLocation(field, -1).line >= 0) {
      config.Replace(config.tree(), field, absl::StrCat(max_batch));
    } else {
      config.Append(absl::StrCat("max_batch_size: ", max_batch));
    }
  }
  if (max_batch > 1 && !config.message().has_dynamic_batching()) {
    config.Append("dynamic_batching { }");
  }
}

absl::Status SetLanes(ConfigText& config, uint32_t lanes) {
  using inference::ModelInstanceGroup;
  const auto& groups = config.message().instance_group();
  if (groups.empty()) {
    // Where it ran before.
    config.Append(absl::StrCat("instance_group { kind: KIND_AUTO count: ", lanes, " }"));
    return absl::OkStatus();
  }
  std::vector<int> on_cpu;
  for (int i = 0; i < groups.size(); ++i) {
    if (groups[i].kind() != ModelInstanceGroup::KIND_GPU) on_cpu.push_back(i);
  }
  if (on_cpu.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.pbtxt has ", on_cpu.size(),
                     " instance groups for CPUs, and one can be tuned: make it one"));
  }
  if (static_cast<uint32_t>(groups[on_cpu[0]].count()) == lanes) return absl::OkStatus();
  const FieldDescriptor* field =
      ConfigText::Field(inference::ModelConfig::descriptor(), "instance_group");
  const Tree& group = *config.tree().GetTreeForNested(field, on_cpu[0]);
  const FieldDescriptor* count = ConfigText::Field(field->message_type(), "count");
  const FieldDescriptor* kind = ConfigText::Field(field->message_type(), "kind");
  if (group.GetLocation(count, -1).line >= 0) {
    config.Replace(group, count, absl::StrCat(lanes));
  } else if (group.GetLocation(kind, -1).line >= 0) {
    config.Insert(config.Range(group, kind).second, absl::StrCat(" count: ", lanes));
  } else {
    return absl::InvalidArgumentError(
        "config.pbtxt has an instance group without kind: write kind: KIND_AUTO, which it means");
  }
  return absl::OkStatus();
}

void SetThreads(ConfigText& config, uint32_t threads) {
  const std::string on_cpu = absl::StrCat(kThreadsKey, "@cpu");
  const auto& parameters = config.message().parameters();
  // The one for CPU pools goes before the plain one.
  const std::string key =
      parameters.contains(on_cpu) || !parameters.contains(kThreadsKey) ? on_cpu : kThreadsKey;
  if (!parameters.contains(key)) {
    config.Append(absl::StrCat("parameters { key: \"", key, "\" value { string_value: \"", threads,
                               "\" } }"));
    return;
  }
  const FieldDescriptor* field =
      ConfigText::Field(inference::ModelConfig::descriptor(), "parameters");
  const FieldDescriptor* key_field = ConfigText::Field(field->message_type(), "key");
  const FieldDescriptor* value = ConfigText::Field(field->message_type(), "value");
  for (int i = 0; const Tree* entry = config.tree().GetTreeForNested(field, i); ++i) {
    const auto [begin, end] = config.Range(*entry, key_field);
    if (config.text().substr(begin, end - begin).find(absl::StrCat(key, "\"")) ==
        std::string::npos) {
      continue;
    }
    config.Replace(*entry->GetTreeForNested(value, -1),
                   ConfigText::Field(value->message_type(), "string_value"),
                   absl::StrCat("\"", threads, "\""));
  }
}

}  // namespace

absl::StatusOr<BatchSizes> BatchSizesOf(const std::string& config) {
  ConfigText parsed(config);
  if (absl::Status status = parsed.Parse(); !status.ok()) return status;
  BatchSizes sizes;
  sizes.most = static_cast<uint32_t>(std::max(parsed.message().max_batch_size(), 0));
  for (const int32_t size : parsed.message().dynamic_batching().preferred_batch_size()) {
    sizes.least = std::max(sizes.least, static_cast<uint32_t>(std::max(size, 0)));
  }
  return sizes;
}

absl::StatusOr<std::string> WithSetting(const std::string& config, const TuneSetting& setting) {
  ConfigText parsed(config);
  if (absl::Status status = parsed.Parse(); !status.ok()) return status;
  SetMaxBatch(parsed, setting.max_batch);
  if (absl::Status status = SetLanes(parsed, setting.lanes); !status.ok()) return status;
  SetThreads(parsed, setting.threads);
  return parsed.Changed();
}

std::string Difference(const std::string& before, const std::string& after) {
  const std::vector<std::string> old_lines = absl::StrSplit(before, '\n');
  const std::vector<std::string> new_lines = absl::StrSplit(after, '\n');
  // longest[i][j]: lines that old_lines from i and new_lines from j have in common.
  std::vector<std::vector<size_t>> longest(old_lines.size() + 1,
                                           std::vector<size_t>(new_lines.size() + 1, 0));
  for (size_t i = old_lines.size(); i-- > 0;) {
    for (size_t j = new_lines.size(); j-- > 0;) {
      longest[i][j] = old_lines[i] == new_lines[j] ? longest[i + 1][j + 1] + 1
                                                   : std::max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  std::vector<std::string> lines;
  for (size_t i = 0, j = 0; i < old_lines.size() || j < new_lines.size();) {
    if (i < old_lines.size() && j < new_lines.size() && old_lines[i] == new_lines[j]) {
      lines.push_back(absl::StrCat("  ", old_lines[i++]));
      ++j;
    } else if (j == new_lines.size() ||
               (i < old_lines.size() && longest[i + 1][j] >= longest[i][j + 1])) {
      lines.push_back(absl::StrCat("- ", old_lines[i++]));
    } else {
      lines.push_back(absl::StrCat("+ ", new_lines[j++]));
    }
  }
  constexpr size_t kNear = 1;
  std::string shown;
  for (size_t i = 0; i < lines.size(); ++i) {
    const size_t from = i < kNear ? 0 : i - kNear;
    const size_t to = std::min(i + kNear + 1, lines.size());
    const bool near = std::any_of(lines.begin() + static_cast<std::ptrdiff_t>(from),
                                  lines.begin() + static_cast<std::ptrdiff_t>(to),
                                  [](const std::string& line) { return line[0] != ' '; });
    if (near && lines[i] != "  ") absl::StrAppend(&shown, lines[i], "\n");
  }
  return shown;
}

}  // namespace tandem::client
