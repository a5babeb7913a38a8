// Rows of a folder of .png and .jpg images, in the order of their names. Each is an FP32 array of
// values from 0 to 1; sizes stay as they are, alpha is left out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/dataset/dataset_reader.h"

namespace tandem::client {

enum class ImageLayout { kChw, kHwc };

class ImageReader : public DatasetReader {
 public:
  // INVALID_ARGUMENT, naming the folder, where it cannot be listed or holds no images.
  static absl::StatusOr<std::unique_ptr<ImageReader>> Open(const std::string& folder,
                                                           ImageLayout layout);

  absl::StatusOr<std::optional<Row>> Next() override;
  absl::Status Skip(int64_t rows) override;
  std::optional<int64_t> row_count() const override { return static_cast<int64_t>(names_.size()); }
  double fraction_read() const override;

  // An image of more pixels is refused before it is unpacked.
  static constexpr int64_t kMaxPixels = int64_t{1} << 26;

 private:
  ImageReader(std::string folder, std::vector<std::string> names, ImageLayout layout);

  const std::string folder_;
  const std::vector<std::string> names_;
  const ImageLayout layout_;
  size_t next_ = 0;
};

// Names of the images in a folder, sorted.
absl::StatusOr<std::vector<std::string>> ListImages(const std::string& folder);

}  // namespace tandem::client
