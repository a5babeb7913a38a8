#include "server/model_repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/file_stamp.h"
#include "core/file_text.h"
#include "core/folder.h"
#include "server/pool_spec.h"

namespace tandem::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestConfig = size_t{1} << 20;

// Follows symbolic links, and refuses those that lead out of the repository.
class Root {
 public:
  explicit Root(fs::path root) : root_(std::move(root)) {}

  // Canonical path of something inside. NOT_FOUND where there is nothing; INVALID_ARGUMENT where
  // links lead nowhere; PERMISSION_DENIED where it lies elsewhere, or may not be looked at.
  absl::StatusOr<fs::path> Resolve(const fs::path& relative) const {
    std::error_code error;
    const fs::path resolved = fs::canonical(root_ / relative, error);
    if (error) return Unresolved(relative, error);
    const auto [end, ignored] =
        std::mismatch(root_.begin(), root_.end(), resolved.begin(), resolved.end());
    if (end != root_.end()) {
      return absl::PermissionDeniedError(
          absl::StrCat(relative.string(), " leads out of the model repository"));
    }
    return resolved;
  }

 private:
  absl::Status Unresolved(const fs::path& relative, const std::error_code& error) const {
    const std::string name = relative.string();
    if (error == std::errc::too_many_symbolic_link_levels) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " cannot be followed: its symbolic links lead in a circle"));
    }
    if (error == std::errc::permission_denied) {
      return absl::PermissionDeniedError(absl::StrCat(name, " is not for this user to read"));
    }
    std::error_code ignored;
    if (fs::is_symlink(root_ / relative, ignored)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is a symbolic link that leads to nothing"));
    }
    return absl::NotFoundError(absl::StrCat(name, " cannot be found"));
  }

  fs::path root_;
};

// Names of the folders within `folder`, ascending.
absl::StatusOr<std::vector<std::string>> FolderNames(const fs::path& folder) {
  absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  std::erase_if(*names, [&folder](const std::string& name) {
    std::error_code error;
    return !fs::is_directory(folder / name, error) && !fs::is_symlink(folder / name, error);
  });
  return names;
}

absl::StatusOr<ModelConfigFile> ReadConfig(const Root& root, const std::string& name,
                                           PoolKinds pools) {
  const absl::StatusOr<fs::path> path = root.Resolve(fs::path(name) / "config.pbtxt");
  if (absl::IsNotFound(path.status())) return DefaultModelConfig(name, pools);
  if (!path.ok()) return path.status();
  const absl::StatusOr<std::string> text = ReadFileText(*path, kLargestConfig);
  if (!text.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config.pbtxt: ", text.status().message()));
  }
  return ParseModelConfig(*text, name, pools);
}

absl::Status NameFolder(const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("a folder of the model: ", status.message()));
}

// Numbers of the version folders, ascending.
absl::StatusOr<std::vector<int64_t>> VersionFolders(const fs::path& model,
                                                    std::vector<std::string>* notes) {
  const absl::StatusOr<std::vector<std::string>> names = FolderNames(model);
  if (!names.ok()) return names.status();
  std::vector<int64_t> versions;
  for (const std::string& name : *names) {
    int64_t version = 0;
    if (absl::SimpleAtoi(name, &version) && version >= 1 && absl::StrCat(version) == name) {
      versions.push_back(version);
    } else {
      notes->push_back(absl::StrCat(model.filename().string(), "/", name,
                                    " is no version: its name is no number of 1 or more"));
    }
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

// The versions to serve, and those that the policy names and that are not there.
std::vector<int64_t> ChooseVersions(const VersionPolicy& policy,
                                    const std::vector<int64_t>& found) {
  switch (policy.kind) {
    case VersionPolicy::Kind::kAll:
      return found;
    case VersionPolicy::Kind::kSpecific: {
      std::vector<int64_t> versions = policy.versions;
      std::sort(versions.begin(), versions.end());
      versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
      return versions;
    }
    case VersionPolicy::Kind::kLatest:
      break;
  }
  const size_t count = std::min<size_t>(policy.count, found.size());
  return std::vector<int64_t>(found.end() - static_cast<std::ptrdiff_t>(count), found.end());
}

std::string StampOfFile(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? StampOf(info) : "";
}

// Reads one model after the other into a ModelRepository.
class Scan {
 public:
  Scan(const Root& root, PoolKinds pools) : root_(root), pools_(pools) {}

  void AddModel(const std::string& name) {
    const absl::StatusOr<fs::path> folder = root_.Resolve(name);
    if (!IsValidName(name)) return AddMisnamed(name, folder);
    if (!folder.ok()) return AddUnusable(name, 0, folder.status());
    std::error_code error;
    if (!fs::is_directory(*folder, error)) return;
    absl::StatusOr<ModelConfigFile> file = ReadConfig(root_, name, pools_);
    if (!file.ok()) return AddUnusable(name, 0, file.status());
    for (const std::string& note : file->notes) {
      result_.notes.push_back(absl::StrCat(name, "/", note));
    }
    absl::StatusOr<std::vector<int64_t>> folders = VersionFolders(*folder, &result_.notes);
    if (!folders.ok()) return AddUnusable(name, 0, NameFolder(folders.status()));
    std::vector<int64_t>& found = *folders;
    // A synthetic model has no files, and need not have a folder for them.
    const bool synthetic = file->config.platform == "synthetic";
    if (found.empty() && synthetic) found.push_back(1);
    if (found.empty()) {
      return AddUnusable(name, 0,
                         absl::NotFoundError("there is no version folder, such as 1/model.pt"));
    }
    const std::vector<int64_t> chosen = ChooseVersions(file->versions, found);
    for (const int64_t version : chosen) AddVersion(*file, version);
    for (const int64_t version : found) {
      if (std::binary_search(chosen.begin(), chosen.end(), version)) continue;
      result_.excluded.push_back({name, version});
    }
  }

  ModelRepository Take() && { return std::move(result_); }

 private:
  // Listed all the same, so that its owner finds it; no request can name it.
  void AddMisnamed(const std::string& name, const absl::StatusOr<fs::path>& folder) {
    std::error_code error;
    if (folder.ok() && !fs::is_directory(*folder, error)) return;
    AddUnusable(absl::CHexEscape(name), 0,
                absl::InvalidArgumentError("the name of its folder is none for a model: expected "
                                           "letters, digits, '_', '.' and '-'"));
  }

  void AddVersion(const ModelConfigFile& file, int64_t version) {
    auto model = std::make_shared<ModelVersion>();
    model->version = version;
    model->config = file.config;
    if (const absl::Status found = FindFiles(file, *model); !found.ok()) {
      return AddUnusable(file.config.name, version, found);
    }
    if (!model->file.empty()) model->files_stamp = StampOfFile(model->file);
    for (const auto& [size, path] : model->files_by_batch_size) {
      absl::StrAppend(&model->files_stamp, StampOfFile(path));
    }
    model->handle = static_cast<uint32_t>(result_.versions.size() + 1);
    result_.versions.push_back(std::move(model));
  }

  absl::Status FindFiles(const ModelConfigFile& file, ModelVersion& model) const {
    if (file.config.platform == "synthetic") return absl::OkStatus();
    const fs::path folder = fs::path(file.config.name) / absl::StrCat(model.version);
    if (file.config.platform == "torch_aoti") {
      const auto files = CompiledFiles(folder, file.model_file);
      if (!files.ok()) return files.status();
      for (const auto& [size, name] : *files) {
        const absl::StatusOr<std::string> path = FilePath(folder / name);
        if (!path.ok()) return path.status();
        model.files_by_batch_size[size] = *path;
      }
    }
    absl::StatusOr<std::string> path = FilePath(folder / file.model_file);
    if (absl::IsNotFound(path.status()) && !model.files_by_batch_size.empty()) {
      return absl::OkStatus();
    }
    if (!path.ok()) return path.status();
    model.file = *std::move(path);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> FilePath(const fs::path& relative) const {
    const absl::StatusOr<fs::path> path = root_.Resolve(relative);
    if (!path.ok()) return path.status();
    std::error_code error;
    if (fs::is_regular_file(*path, error)) return path->string();
    return absl::InvalidArgumentError(absl::StrCat(relative.string(), " is not a regular file"));
  }

  // Names of the files for one batch size each: beside model.pt2 those as model.b8.pt2.
  absl::StatusOr<std::map<uint32_t, std::string>> CompiledFiles(const fs::path& folder,
                                                                const fs::path& model_file) const {
    std::map<uint32_t, std::string> files;
    const absl::StatusOr<fs::path> path = root_.Resolve(folder);
    if (!path.ok()) return files;
    const std::string prefix = model_file.stem().string() + ".b";
    const std::string suffix = model_file.extension().string();
    std::error_code error;
    if (!fs::is_directory(*path, error)) return files;
    const absl::StatusOr<std::vector<std::string>> names = ListFolder(*path);
    if (!names.ok()) return NameFolder(names.status());
    for (const std::string& name : *names) {
      absl::string_view number = name;
      uint32_t size = 0;
      if (absl::ConsumePrefix(&number, prefix) && absl::ConsumeSuffix(&number, suffix) &&
          absl::SimpleAtoi(number, &size) && size > 0 && absl::StrCat(size) == number) {
        files[size] = name;
      }
    }
    return files;
  }

  void AddUnusable(const std::string& name, int64_t version, const absl::Status& reason) {
    result_.unusable.push_back({name, version, std::string(reason.message())});
  }

  const Root& root_;
  const PoolKinds pools_;
  ModelRepository result_;
};

}  // namespace

absl::StatusOr<ModelRepository> ScanModelRepository(const std::string& folder, PoolKinds pools) {
  std::error_code error;
  const fs::path canonical = fs::canonical(folder, error);
  if (error || !fs::is_directory(canonical, error)) {
    return absl::NotFoundError(
        absl::StrCat("--model-repository=", folder, ": there is no such folder"));
  }
  const Root root(canonical);
  Scan scan(root, pools);
  const absl::StatusOr<std::vector<std::string>> names = FolderNames(canonical);
  if (!names.ok()) {
    return absl::UnavailableError(
        absl::StrCat("--model-repository=", folder, ": ", names.status().message()));
  }
  for (const std::string& name : *names) {
    // Folders such as .git are nobody's model, nor is what a file system keeps for itself.
    if (name.front() != '.' && name != "lost+found") scan.AddModel(name);
  }
  return std::move(scan).Take();
}

}  // namespace tandem::server
