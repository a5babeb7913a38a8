#include "client/dataset/progress_file.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/array_json.h"
#include "client/dataset/output_file.h"

namespace tandem::client {

bool ProgressFile::Exists() const {
  std::error_code error;
  return std::filesystem::exists(path_, error);
}

absl::StatusOr<std::optional<SavedProgress>> ProgressFile::Load() const {
  if (!Exists()) return std::nullopt;
  std::ifstream stream(path_);
  const nlohmann::json json = nlohmann::json::parse(stream, nullptr, false);
  try {
    std::vector<std::string> differences;
    for (const auto& [name, value] : identity_.items()) {
      if (json.at("job").value(name, nlohmann::json()) != value) differences.push_back(name);
    }
    if (!differences.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the interrupted job was another one: it differs in ", absl::StrJoin(differences, ", "),
          "; give the same, or delete ", path_, " to start again"));
    }
    SavedProgress saved;
    saved.progress = {json.at("rows").get<int64_t>(), json.at("failed").get<int64_t>()};
    saved.writer = json.at("writer");
    return saved;
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " is damaged: delete it to start again"));
  }
}

absl::Status ProgressFile::Save(const JobProgress& progress, const nlohmann::json& writer) const {
  return WriteWhole(path_, DumpJson({{"job", identity_},
                                     {"rows", progress.rows},
                                     {"failed", progress.failed},
                                     {"writer", writer}},
                                    1));
}

void ProgressFile::Remove() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace tandem::client
