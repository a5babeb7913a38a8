#include "client/dataset/image_reader.h"

#include <stb/stb_image.h>

#include <algorithm>
#include <filesystem>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/element.h"
#include "core/folder.h"

namespace tandem::client {
namespace {

namespace fs = std::filesystem;

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

absl::StatusOr<Array> ReadImage(const std::string& path, ImageLayout layout) {
  int width = 0;
  int height = 0;
  int channels = 0;
  if (stbi_info(path.c_str(), &width, &height, &channels) == 0) {
    return absl::InvalidArgumentError("is not a .png or .jpg image that can be read");
  }
  if (int64_t{width} * height > ImageReader::kMaxPixels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", width, " x ", height, " pixels; at most ", ImageReader::kMaxPixels, " are taken"));
  }
  // 1 grey, 2 grey and alpha, 3 colours, 4 colours and alpha.
  const int kept = channels <= 2 ? 1 : 3;
  const std::unique_ptr<stbi_uc, FreePixels> pixels(
      stbi_load(path.c_str(), &width, &height, &channels, kept));
  if (pixels == nullptr) return absl::InvalidArgumentError("is damaged or cut off");
  Array array{"", DataType::kFp32, {}, {}, false};
  const size_t area = static_cast<size_t>(width) * static_cast<size_t>(height);
  const size_t depth = static_cast<size_t>(kept);
  array.bytes.reserve(area * depth * sizeof(float));
  const auto append = [&](size_t at) {
    AppendElement(array.bytes, static_cast<float>(pixels.get()[at]) / 255.0f);
  };
  if (layout == ImageLayout::kHwc) {
    array.shape = {height, width, kept};
    for (size_t i = 0; i < area * depth; ++i) append(i);
  } else {
    array.shape = {kept, height, width};
    for (size_t channel = 0; channel < depth; ++channel) {
      for (size_t i = 0; i < area; ++i) append(i * depth + channel);
    }
  }
  return array;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListImages(const std::string& folder) {
  absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return absl::InvalidArgumentError(absl::StrCat(folder, " cannot be listed"));
  std::erase_if(*names, [](const std::string& name) {
    const std::string extension = absl::AsciiStrToLower(fs::path(name).extension().string());
    return extension != ".png" && extension != ".jpg" && extension != ".jpeg";
  });
  return names;
}

absl::StatusOr<std::unique_ptr<ImageReader>> ImageReader::Open(const std::string& folder,
                                                               ImageLayout layout) {
  absl::StatusOr<std::vector<std::string>> names = ListImages(folder);
  if (!names.ok()) return names.status();
  if (names->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(folder, " holds no .png or .jpg images"));
  }
  return absl::WrapUnique(new ImageReader(folder, *std::move(names), layout));
}

ImageReader::ImageReader(std::string folder, std::vector<std::string> names, ImageLayout layout)
    : folder_(std::move(folder)), names_(std::move(names)), layout_(layout) {}

absl::StatusOr<std::optional<Row>> ImageReader::Next() {
  if (next_ == names_.size()) return std::nullopt;
  const std::string& name = names_[next_++];
  absl::StatusOr<Array> array = ReadImage((fs::path(folder_) / name).string(), layout_);
  if (!array.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " ", array.status().message()));
  }
  Row row;
  row.source = name;
  row.inputs.push_back(*std::move(array));
  return row;
}

absl::Status ImageReader::Skip(int64_t rows) {
  next_ += std::min(static_cast<size_t>(rows), names_.size() - next_);
  return absl::OkStatus();
}

double ImageReader::fraction_read() const {
  return static_cast<double>(next_) / static_cast<double>(names_.size());
}

}  // namespace tandem::client
