#include "client/dataset/dataset_file.h"

#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/dataset/csv_reader.h"
#include "client/dataset/jsonl_reader.h"
#include "client/dataset/npy_reader.h"
#include "client/dataset/npz_reader.h"

namespace tandem::client {
namespace {

namespace fs = std::filesystem;

template <typename Reader>
absl::StatusOr<std::unique_ptr<DatasetReader>> AsReader(
    absl::StatusOr<std::unique_ptr<Reader>> reader) {
  if (!reader.ok()) return reader.status();
  return *std::move(reader);
}

struct SizeAndTime {
  int64_t bytes = 0;
  // Nanoseconds since 1970.
  int64_t changed = 0;
};

absl::StatusOr<SizeAndTime> Look(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  }
  return SizeAndTime{info.st_size,
                     int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

}  // namespace

bool NamesItsRows(const DatasetFile& file) { return fs::is_directory(file.path); }

absl::StatusOr<std::unique_ptr<DatasetReader>> OpenDataset(const DatasetFile& file) {
  std::error_code error;
  if (!fs::exists(file.path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, " is not there"));
  }
  if (NamesItsRows(file)) return AsReader(ImageReader::Open(file.path, file.image_layout));
  const std::string extension = absl::AsciiStrToLower(fs::path(file.path).extension().string());
  if (extension == ".npy") return AsReader(NpyReader::Open(file.path));
  if (extension == ".npz") return AsReader(NpzReader::Open(file.path));
  if (extension == ".csv") return AsReader(CsvReader::Open(file.path, file.csv_inputs));
  if (extension == ".jsonl") return AsReader(JsonlReader::Open(file.path));
  return absl::InvalidArgumentError(absl::StrCat(
      file.path,
      " is of no kind that can be read: a data set is a .npy, .npz, .csv or .jsonl file, or a "
      "folder of .png and .jpg images"));
}

absl::StatusOr<nlohmann::json> Fingerprint(const DatasetFile& file) {
  if (!NamesItsRows(file)) {
    const absl::StatusOr<SizeAndTime> look = Look(file.path);
    if (!look.ok()) return look.status();
    return nlohmann::json{{"bytes", look->bytes}, {"changed", look->changed}};
  }
  const absl::StatusOr<std::vector<std::string>> names = ListImages(file.path);
  if (!names.ok()) return names.status();
  int64_t bytes = 0;
  int64_t changed = 0;
  for (const std::string& name : *names) {
    const absl::StatusOr<SizeAndTime> look = Look((fs::path(file.path) / name).string());
    if (!look.ok()) return look.status();
    bytes += look->bytes;
    changed = std::max(changed, look->changed);
  }
  return nlohmann::json{{"images", names->size()}, {"bytes", bytes}, {"changed", changed}};
}

}  // namespace tandem::client
