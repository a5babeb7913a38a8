#include "client/npy_format.h"

#include <algorithm>
#include <array>
#include <exception>
#include <regex>
#include <sstream>
#include <vector>
#include <xtensor/xnpy.hpp>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

// A header says a type and a shape; what is longer is not one.
constexpr size_t kMaxHeaderBytes = 65536;

struct TypeName {
  DataType type;
  const char* npy;
};

constexpr std::array<TypeName, 12> kTypeNames = {{{DataType::kBool, "|b1"},
                                                  {DataType::kUint8, "|u1"},
                                                  {DataType::kUint16, "<u2"},
                                                  {DataType::kUint32, "<u4"},
                                                  {DataType::kUint64, "<u8"},
                                                  {DataType::kInt8, "|i1"},
                                                  {DataType::kInt16, "<i2"},
                                                  {DataType::kInt32, "<i4"},
                                                  {DataType::kInt64, "<i8"},
                                                  {DataType::kFp16, "<f2"},
                                                  {DataType::kFp32, "<f4"},
                                                  {DataType::kFp64, "<f8"}}};

absl::Status Refuse(absl::string_view reason) { return absl::InvalidArgumentError(reason); }

absl::StatusOr<std::string> ReadHeaderText(std::istream& stream) {
  unsigned char major = 0;
  unsigned char minor = 0;
  xt::detail::read_magic(stream, &major, &minor);
  if (major != 1 && major != 2) {
    return Refuse(absl::StrCat("its .npy version ", major, ".", minor, " is not 1.0 or 2.0"));
  }
  // Not by xtensor: it takes the length's bytes for signed, and allocates whatever they say.
  std::array<char, 4> raw{};
  if (!stream.read(raw.data(), major == 1 ? 2 : 4)) return Refuse("its .npy header is cut off");
  size_t length = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    length |= size_t{static_cast<unsigned char>(raw[i])} << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    return Refuse("its .npy header is longer than any that NumPy writes");
  }
  std::string text(length, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(length));
  return text;
}

absl::StatusOr<NpyHeader> Parse(const std::string& text) {
  // xtensor's parser trusts the form, so the form is checked before.
  std::string plain = text;
  plain.erase(
      std::remove_if(plain.begin(), plain.end(), [](char c) { return c == ' ' || c == '\n'; }),
      plain.end());
  static const std::regex form(
      R"(\{'descr':('[^']*'|\[.*\]),'fortran_order':(True|False),'shape':\([0-9,]{0,200}\),?\})");
  std::smatch match;
  if (text.empty() || text.back() != '\n' || !std::regex_match(plain, match, form)) {
    return Refuse("its .npy header is not one that NumPy writes");
  }
  const std::string declared = match[1].str();
  const auto name = std::find_if(kTypeNames.begin(), kTypeNames.end(), [&](const TypeName& entry) {
    return declared == absl::StrCat("'", entry.npy, "'");
  });
  if (name == kTypeNames.end()) {
    return Refuse(
        absl::StrCat("its element type ", declared,
                     " cannot be sent: save it little-endian as a boolean, integer or float"));
  }
  std::string descr;
  bool fortran_order = false;
  std::vector<size_t> dims;
  xt::detail::parse_header(text, descr, &fortran_order, dims);
  if (fortran_order && dims.size() > 1) {
    return Refuse(
        "it is in Fortran order, in which rows cannot be read one by one: save it with "
        "numpy.ascontiguousarray");
  }
  NpyHeader header{name->type, Shape(dims.begin(), dims.end())};
  const absl::StatusOr<size_t> size = ByteSize(header.type, header.shape);
  if (!size.ok()) return size.status();
  return header;
}

}  // namespace

absl::StatusOr<NpyHeader> ReadNpyHeader(std::istream& stream) {
  try {
    const absl::StatusOr<std::string> text = ReadHeaderText(stream);
    if (!text.ok()) return text.status();
    if (!stream) return Refuse("its .npy header is cut off");
    return Parse(*text);
  } catch (const std::exception& error) {
    // The only exceptions are xtensor's, for a file of another form.
    return Refuse(absl::StrCat("it is not a .npy array (", error.what(), ")"));
  }
}

std::string WriteNpyHeader(DataType type, const Shape& shape, size_t size) {
  const auto name = std::find_if(kTypeNames.begin(), kTypeNames.end(),
                                 [type](const TypeName& entry) { return entry.type == type; });
  std::ostringstream out;
  xt::detail::write_header(out, name == kTypeNames.end() ? "|u1" : name->npy, false,
                           std::vector<int64_t>(shape.begin(), shape.end()));
  std::string header = out.str();
  if (header.size() < size) {
    // Spaces before the line's end, and the length (of version 1.0, little-endian) behind magic and
    // version.
    header.insert(header.size() - 1, size - header.size(), ' ');
    const size_t length = size - 10;
    header[8] = static_cast<char>(length & 0xff);
    header[9] = static_cast<char>(length >> 8);
  }
  return header;
}

bool HasNpyType(DataType type) {
  return std::any_of(kTypeNames.begin(), kTypeNames.end(),
                     [type](const TypeName& entry) { return entry.type == type; });
}

}  // namespace tandem::client
