#include "server/config_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/file_text.h"
#include "server/text_proto.h"
#include "server_config.pb.h"

namespace tandem::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string ValueText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(reflection.GetUInt64(message, &field));
    default:
      return reflection.GetString(message, &field);
  }
}

// Takes the scalar fields that are set; a field's name is its setting's, with '_' for '-'.
void TakeSettings(const Message& message, const TextProtoLines& lines, ConfigFile* file) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated() || field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const std::string name = absl::StrReplaceAll(field->name(), {{"_", "-"}});
    file->settings[name] = ValueText(message, *field);
    file->where[name] = absl::StrCat(lines.Where(message, field->name()), ": ", field->name());
  }
}

// In PoolSpecFields 0 is what was left out.
absl::Status CheckPool(const config::v1::Pool& pool, const TextProtoLines& lines) {
  std::vector<const FieldDescriptor*> fields;
  pool.GetReflection()->ListFields(pool, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string& name = field->name();
    // Core 0 is one of them, by its text.
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) continue;
    if (name == "express" || name == "nice" || ValueText(pool, *field) != "0") continue;
    return FieldError(lines, pool, name, "0: expected more; leave it out to have the default");
  }
  return absl::OkStatus();
}

PoolSpecFields TakePool(const config::v1::Pool& pool) {
  PoolSpecFields fields;
  fields.name = pool.name();
  fields.device = pool.device();
  fields.serves = pool.serves();
  fields.cores = pool.cores();
  fields.processes = pool.processes();
  fields.lanes = pool.lanes();
  fields.threads = pool.threads();
  fields.input_arena_bytes = pool.input_arena_bytes();
  fields.output_arena_bytes = pool.output_arena_bytes();
  fields.memory_bytes = pool.memory_bytes();
  fields.device_memory_bytes = pool.device_memory_bytes();
  fields.cpu_share = pool.cpu_share();
  if (pool.has_express()) fields.express = pool.express();
  if (pool.has_nice()) fields.nice = pool.nice();
  return fields;
}

}  // namespace

absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFileText(path);
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        absl::StrCat("--config=", path, ": ", text.status().message()));
  }
  return ParseConfigFile(*text, path);
}

absl::StatusOr<ConfigFile> ParseConfigFile(absl::string_view text, const std::string& name) {
  TextProtoFile parser(name);
  config::v1::ServerConfig message;
  const absl::Status parsed = parser.Parse(text, &message);
  if (!parsed.ok()) return parsed;
  ConfigFile file;
  TakeSettings(message, parser.lines(), &file);
  TakeSettings(message.limits(), parser.lines().Nested(message, "limits"), &file);
  for (int i = 0; i < message.pools_size(); ++i) {
    const absl::Status pool =
        CheckPool(message.pools(i), parser.lines().Nested(message, "pools", i));
    if (!pool.ok()) return pool;
    file.pools.push_back({absl::StrCat(parser.lines().Where(message, "pools", i), ": pools"),
                          TakePool(message.pools(i))});
  }
  return file;
}

}  // namespace tandem::server
