#include "server/text_proto.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/printable.h"

namespace tandem::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

// Characters of a line that a message quotes.
constexpr size_t kMostOfLine = 80;

// Keeps the first error.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(std::string file, absl::string_view text) : file_(std::move(file)), text_(text) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!error_.empty()) return;
    // Protobuf counts from 0, and has -1 for the file as a whole.
    error_ = line < 0 ? absl::StrCat(file_, ": ", message)
                      : absl::StrCat(file_, ":", line + 1, ":", column + 1, ": ",
                                     absl::StripSuffix(message, "."), ", in `", Line(line), "`");
  }

  const std::string& error() const { return error_; }

 private:
  // The line names the field, which Protobuf's messages do not always do.
  std::string Line(int number) const {
    const std::vector<absl::string_view> lines = absl::StrSplit(text_, '\n');
    if (static_cast<size_t>(number) >= lines.size()) return "";
    const absl::string_view line = absl::StripAsciiWhitespace(lines[static_cast<size_t>(number)]);
    return absl::CEscape(line.substr(0, kMostOfLine));
  }

  std::string file_;
  absl::string_view text_;
  std::string error_;
};

const FieldDescriptor* Field(const Message& message, absl::string_view name) {
  return message.GetDescriptor()->FindFieldByName(std::string(name));
}

// The parser wants -1 for a field that is not repeated.
int Index(const FieldDescriptor& field, int index) { return field.is_repeated() ? index : -1; }

// Keeps nothing: the text has been parsed without an error before.
class NoErrors : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

// Line, from 0, of element `number` of the list "field: [ … ]" that begins at `list`. The parser
// tells where a list begins, and nothing of its elements.
int LineOfElement(absl::string_view text, const TextFormat::ParseLocation& list, int number) {
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  NoErrors errors;
  google::protobuf::io::Tokenizer tokenizer(&input, &errors);
  // As the text format's parser sets it.
  tokenizer.set_comment_style(google::protobuf::io::Tokenizer::SH_COMMENT_STYLE);
  tokenizer.set_require_space_after_number(false);
  tokenizer.set_allow_f_after_float(true);
  tokenizer.set_allow_multiline_strings(true);
  const google::protobuf::io::Tokenizer::Token& token = tokenizer.current();
  int depth = 0;
  while (tokenizer.Next()) {
    if (token.line < list.line || (token.line == list.line && token.column < list.column)) continue;
    // The element after the last comma, or after the bracket, begins here.
    if (depth == 1 && number == 0 && token.text != ",") return token.line;
    if (token.text == "[" || token.text == "{" || token.text == "<") ++depth;
    if (token.text == "]" || token.text == "}" || token.text == ">") --depth;
    if (depth == 1 && token.text == ",") --number;
    if (depth == 0 && token.text == "]") break;
  }
  return list.line;
}

std::string KeyOf(const Message& entry) {
  const FieldDescriptor* key = entry.GetDescriptor()->map_key();
  if (key->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return absl::StrCat("'", entry.GetReflection()->GetString(entry, key), "'");
  }
  std::string text;
  TextFormat::PrintFieldValueToString(entry, key, -1, &text);
  return text;
}

// Of two entries with one key a map keeps the later one. The list that the parser has made of them
// has both, in the file's order.
absl::Status RefuseTwoOfAKey(const TextProtoLines& lines, const Message& message,
                             const FieldDescriptor& map) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::set<std::string> keys;
  for (int i = 0; i < reflection.FieldSize(message, &map); ++i) {
    const std::string key = KeyOf(reflection.GetRepeatedMessage(message, &map, i));
    if (keys.insert(key).second) continue;
    return FieldError(lines, message, map.name(),
                      absl::StrCat("the key ", Excerpt(key), " is given twice; keep one"), i);
  }
  return absl::OkStatus();
}

// Of all maps in the message and in those that it holds, but for those in maps.
absl::Status RefuseTwoOfAnyKey(const TextProtoLines& lines, const Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  absl::Status status;
  for (const FieldDescriptor* field : fields) {
    if (field->is_map()) {
      status.Update(RefuseTwoOfAKey(lines, message, *field));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        status.Update(RefuseTwoOfAnyKey(lines.Nested(message, field->name(), i),
                                        reflection.GetRepeatedMessage(message, field, i)));
      }
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      status.Update(RefuseTwoOfAnyKey(lines.Nested(message, field->name()),
                                      reflection.GetMessage(message, field)));
    }
  }
  return status;
}

}  // namespace

std::string TextProtoLines::Where(const Message& message, absl::string_view name, int index) const {
  const FieldDescriptor* field = Field(message, name);
  if (tree_ == nullptr || field == nullptr) return place_;
  TextFormat::ParseLocation location = tree_->GetLocation(field, Index(*field, index));
  int line = location.line;
  // An element of a list that began before.
  for (int before = index - 1; line < 0 && field->is_repeated() && before >= 0; --before) {
    location = tree_->GetLocation(field, before);
    if (location.line >= 0) line = LineOfElement(text_, location, index - before);
  }
  return line < 0 ? place_ : absl::StrCat(file_, ":", line + 1);
}

TextProtoLines TextProtoLines::Nested(const Message& message, absl::string_view name,
                                      int index) const {
  TextProtoLines nested;
  nested.file_ = file_;
  nested.place_ = Where(message, name, index);
  nested.text_ = text_;
  const FieldDescriptor* field = Field(message, name);
  if (tree_ != nullptr && field != nullptr) {
    nested.tree_ = tree_->GetTreeForNested(field, Index(*field, index));
  }
  return nested;
}

absl::Status FieldError(const TextProtoLines& lines, const Message& message,
                        absl::string_view field, absl::string_view what, int index) {
  return absl::InvalidArgumentError(
      absl::StrCat(lines.Where(message, field, index), ": ", field, ": ", what));
}

absl::Status TextProtoFile::Parse(absl::string_view text, Message* message) {
  FirstError errors(lines_.file_, text);
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(&tree_);
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  if (!parser.Parse(&input, message)) return absl::InvalidArgumentError(errors.error());
  lines_.tree_ = &tree_;
  lines_.text_ = text;
  return RefuseTwoOfAnyKey(lines_, *message);
}

}  // namespace tandem::server
