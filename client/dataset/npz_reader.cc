#include "client/dataset/npz_reader.h"

#include <zip.h>

#include <sstream>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem::client {
namespace {

// Bytes of a .npy up to and including the length of its header, by version.
constexpr size_t kPrefixBytes1 = 10;
constexpr size_t kPrefixBytes2 = 12;
constexpr size_t kMaxNpzHeaderBytes = 65536;

bool ReadExactly(zip_file* file, char* to, size_t size) {
  while (size > 0) {
    const zip_int64_t count = zip_fread(file, to, size);
    if (count <= 0) return false;
    to += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

void NpzReader::CloseArchive::operator()(zip* archive) const { zip_discard(archive); }
void NpzReader::CloseFile::operator()(zip_file* file) const { zip_fclose(file); }

absl::StatusOr<std::string> NpzReader::ReadHeader(zip_file* file) {
  const absl::Status cut = absl::InvalidArgumentError("is not a .npy array");
  std::string text(kPrefixBytes1, '\0');
  if (!ReadExactly(file, text.data(), text.size())) return cut;
  const auto byte = [&text](size_t i) {
    return static_cast<size_t>(static_cast<unsigned char>(text[i]));
  };
  size_t length = byte(8) | byte(9) << 8;
  if (byte(6) == 2) {
    text.resize(kPrefixBytes2);
    if (!ReadExactly(file, text.data() + kPrefixBytes1, kPrefixBytes2 - kPrefixBytes1)) return cut;
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (length > kMaxNpzHeaderBytes) return cut;
  const size_t prefix = text.size();
  text.resize(prefix + length);
  if (!ReadExactly(file, text.data() + prefix, length)) return cut;
  return text;
}

absl::StatusOr<NpzReader::Member> NpzReader::OpenMember(zip* archive, uint64_t index) {
  Member member;
  const char* name = zip_get_name(archive, index, 0);
  if (name == nullptr) return absl::InvalidArgumentError("has an array without a name");
  member.name = std::string(absl::StripSuffix(name, ".npy"));
  member.file.reset(zip_fopen_index(archive, index, 0));
  const auto refuse = [&member](absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat("array \"", member.name, "\" ", reason));
  };
  if (member.file == nullptr) return refuse("cannot be unpacked");
  const absl::StatusOr<std::string> text = ReadHeader(member.file.get());
  if (!text.ok()) return refuse(text.status().message());
  std::istringstream stream(*text);
  const absl::StatusOr<NpyHeader> header = ReadNpyHeader(stream);
  if (!header.ok()) return refuse(absl::StrCat("cannot be read: ", header.status().message()));
  if (header->shape.empty())
    return refuse("is a single number: every array needs a first dimension, of rows");
  member.type = header->type;
  member.rows = header->shape[0];
  member.row_shape = Shape(header->shape.begin() + 1, header->shape.end());
  const absl::StatusOr<size_t> row_bytes = ByteSize(member.type, member.row_shape);
  if (!row_bytes.ok()) return refuse(row_bytes.status().message());
  member.row_bytes = *row_bytes;
  return member;
}

absl::StatusOr<std::unique_ptr<NpzReader>> NpzReader::Open(const std::string& path) {
  int error = 0;
  std::unique_ptr<zip, CloseArchive> archive(zip_open(path.c_str(), ZIP_RDONLY, &error));
  const auto refuse = [&path](absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat(path, " ", reason));
  };
  if (archive == nullptr) return refuse("cannot be read as a .npz archive");
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count <= 0) return refuse("holds no arrays");
  auto reader = absl::WrapUnique(new NpzReader(std::move(archive)));
  for (zip_int64_t i = 0; i < count; ++i) {
    absl::StatusOr<Member> member = OpenMember(reader->archive_.get(), static_cast<uint64_t>(i));
    if (!member.ok()) return refuse(member.status().message());
    if (i > 0 && member->rows != reader->rows_) {
      return refuse(absl::StrCat("has arrays of unequal lengths: \"", reader->members_[0].name,
                                 "\" has ", reader->rows_, " rows, \"", member->name, "\" has ",
                                 member->rows));
    }
    reader->rows_ = member->rows;
    reader->members_.push_back(*std::move(member));
  }
  return reader;
}

absl::StatusOr<std::optional<Row>> NpzReader::Next() {
  if (next_ == rows_) return std::nullopt;
  Row row;
  for (const Member& member : members_) {
    Array array{member.name, member.type, member.row_shape, std::string(member.row_bytes, '\0'),
                false};
    if (!ReadExactly(member.file.get(), array.bytes.data(), array.bytes.size())) {
      return absl::DataLossError(absl::StrCat(
          "array \"", member.name, "\" is damaged or cut off at row ", next_, " of ", rows_));
    }
    row.inputs.push_back(std::move(array));
  }
  ++next_;
  return row;
}

double NpzReader::fraction_read() const {
  return rows_ == 0 ? 1 : static_cast<double>(next_) / static_cast<double>(rows_);
}

}  // namespace tandem::client
