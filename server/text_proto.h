// Reads protobuf's text format and tells where in the file something stands. Thread-safe: no shared
// state.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tandem::server {

// Lines of a parsed file's fields, for messages such as "config.pbtxt:12: …".
class TextProtoLines {
 public:
  // "FILE:LINE" of the field `name` (`index` among its repetitions) of the message; where it is not
  // in the file that of the message, and "FILE" of the whole.
  std::string Where(const google::protobuf::Message& message, absl::string_view name,
                    int index = 0) const;

  // Lines of the message in field `name`; it borrows from this one.
  TextProtoLines Nested(const google::protobuf::Message& message, absl::string_view name,
                        int index = 0) const;

 private:
  friend class TextProtoFile;

  std::string file_;
  // Where the message begins.
  std::string place_;
  // Of the whole file, wherever this is in it.
  absl::string_view text_;
  const google::protobuf::TextFormat::ParseInfoTree* tree_ = nullptr;
};

// INVALID_ARGUMENT "FILE:LINE: field: what".
absl::Status FieldError(const TextProtoLines& lines, const google::protobuf::Message& message,
                        absl::string_view field, absl::string_view what, int index = 0);

// A parsed file's lines and what they are made of.
class TextProtoFile {
 public:
  explicit TextProtoFile(std::string name) { lines_.file_ = lines_.place_ = std::move(name); }
  TextProtoFile(const TextProtoFile&) = delete;
  TextProtoFile& operator=(const TextProtoFile&) = delete;

  // Parses `text`, which outlives this, into `message`. INVALID_ARGUMENT "FILE:LINE:COLUMN: what"
  // for the first error, "FILE:LINE: field: what" for a key that a map has twice.
  absl::Status Parse(absl::string_view text, google::protobuf::Message* message);

  const TextProtoLines& lines() const { return lines_; }

 private:
  google::protobuf::TextFormat::ParseInfoTree tree_;
  TextProtoLines lines_;
};

}  // namespace tandem::server
