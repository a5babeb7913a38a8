// A data set as the command line names it: which reader reads it, and what tells it from another.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/dataset/dataset_reader.h"
#include "client/dataset/image_reader.h"

namespace tandem::client {

struct DatasetFile {
  // A .npy, .npz, .csv or .jsonl file, or a folder of images.
  std::string path;
  // See CsvReader.
  std::vector<std::string> csv_inputs;
  ImageLayout image_layout = ImageLayout::kChw;
};

// INVALID_ARGUMENT, with what is taken, for a file of another kind or one that cannot be read.
absl::StatusOr<std::unique_ptr<DatasetReader>> OpenDataset(const DatasetFile& file);

// Name, size and time of change of the file, or of the folder's images: equal for a data set that
// did not change.
absl::StatusOr<nlohmann::json> Fingerprint(const DatasetFile& file);

// True where rows have names of their own (Row::source).
bool NamesItsRows(const DatasetFile& file);

}  // namespace tandem::client
