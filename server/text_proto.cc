#include "server/text_proto.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

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

}  // namespace

std::string TextProtoLines::Where(const Message& message, absl::string_view name, int index) const {
  const FieldDescriptor* field = Field(message, name);
  if (tree_ == nullptr || field == nullptr) return file_;
  TextFormat::ParseLocation location = tree_->GetLocation(field, Index(*field, index));
  int line = location.line;
  // An element of a list that began before.
  for (int before = index - 1; line < 0 && field->is_repeated() && before >= 0; --before) {
    location = tree_->GetLocation(field, before);
    if (location.line >= 0) line = LineOfElement(text_, location, index - before);
  }
  return line < 0 ? file_ : absl::StrCat(file_, ":", line + 1);
}

TextProtoLines TextProtoLines::Nested(const Message& message, absl::string_view name,
                                      int index) const {
  TextProtoLines nested;
  nested.file_ = file_;
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
  return absl::OkStatus();
}

}  // namespace tandem::server
