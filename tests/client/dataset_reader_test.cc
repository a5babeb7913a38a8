#include "client/dataset/dataset_reader.h"

#include <stb/stb_image_write.h>
#include <zip.h>

#include <cmath>

#include "client/dataset/csv_reader.h"
#include "client/dataset/dataset_file.h"
#include "client/dataset/npz_writer.h"
#include "client/npy_format.h"
#include "tests/client/arrays.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

std::string NpyText(const Array& array) {
  return WriteNpyHeader(array.type, array.shape) + array.bytes;
}

std::string NpyWithHeader(std::string header) {
  header += '\n';
  std::string text("\x93NUMPY\1\0", 8);
  text.push_back(static_cast<char>(header.size() & 0xff));
  text.push_back(static_cast<char>(header.size() >> 8));
  return text + header;
}

void WriteZip(const std::string& path,
              const std::vector<std::pair<std::string, std::string>>& files) {
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, &error);
  REQUIRE(archive != nullptr);
  for (const auto& [name, text] : files) {
    zip_source_t* source = zip_source_buffer(archive, text.data(), text.size(), 0);
    REQUIRE(zip_file_add(archive, name.c_str(), source, 0) >= 0);
  }
  REQUIRE(zip_close(archive) == 0);
}

Row Take(DatasetReader& reader) {
  absl::StatusOr<std::optional<Row>> row = reader.Next();
  INFO(row.status().ToString());
  REQUIRE(row.ok());
  REQUIRE(row->has_value());
  return **std::move(row);
}

bool AtEnd(DatasetReader& reader) {
  const absl::StatusOr<std::optional<Row>> row = reader.Next();
  return row.ok() && !row->has_value();
}

std::string RefusedWith(const std::string& path) {
  const auto reader = OpenDataset({path, {}, ImageLayout::kChw});
  return std::string(reader.status().message());
}

TEST_CASE("A .npy file is read along its first dimension", "[client]") {
  const ScratchFolder folder;
  const Array array = ArrayOf<int32_t>("", DataType::kInt32, {3, 2}, {1, 2, 3, 4, 5, 6});
  auto reader = OpenDataset({folder.Write("a.npy", NpyText(array)), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  CHECK((*reader)->row_count() == 3);
  const Row first = Take(**reader);
  CHECK(first.inputs[0].shape == Shape{2});
  CHECK(ValuesOf<int32_t>(first.inputs[0]) == std::vector<int32_t>{1, 2});
  REQUIRE((*reader)->Skip(1).ok());
  CHECK(ValuesOf<int32_t>(Take(**reader).inputs[0]) == std::vector<int32_t>{5, 6});
  CHECK(AtEnd(**reader));
}

TEST_CASE("A .npy file that cannot be read by rows is refused with what to do", "[client]") {
  const ScratchFolder folder;
  const auto refuse = [&folder](const std::string& text, const char* what) {
    const std::string message = RefusedWith(folder.Write("bad.npy", text));
    INFO(message);
    CHECK(message.find(what) != std::string::npos);
  };
  refuse(NpyWithHeader("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }"),
         "numpy.ascontiguousarray");
  refuse(NpyWithHeader("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }"),
         "little-endian");
  refuse(NpyWithHeader("{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }"), "'<U4'");
  refuse(NpyWithHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"),
         "a single number");
  refuse(NpyWithHeader("{'descr': '<f4', 'fortran_order': False, 'shape': }"),
         "not one that NumPy writes");
  refuse(NpyWithHeader(
             "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 8), }"),
         "more");
  refuse("PK not an array", "not a .npy array");
  refuse("", "not a .npy array");
  refuse(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12), "longer than any");
}

TEST_CASE("A .npy file that ends early tells the row", "[client]") {
  const ScratchFolder folder;
  std::string text = NpyText(ArrayOf<float>("", DataType::kFp32, {2, 2}, {1, 2, 3, 4}));
  text.resize(text.size() - 3);
  auto reader = OpenDataset({folder.Write("cut.npy", text), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  Take(**reader);
  const auto row = (*reader)->Next();
  CHECK(absl::IsDataLoss(row.status()));
  CHECK(std::string(row.status().message()).find("row 1 of 2") != std::string::npos);
}

TEST_CASE("A .npz file gives its arrays side by side", "[client]") {
  const ScratchFolder folder;
  WriteZip(folder.Path("a.npz"),
           {{"x.npy", NpyText(ArrayOf<float>("", DataType::kFp32, {2, 1}, {1, 2}))},
            {"n.npy", NpyText(ArrayOf<uint8_t>("", DataType::kUint8, {2}, {7, 8}))}});
  auto reader = OpenDataset({folder.Path("a.npz"), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  Take(**reader);
  const Row second = Take(**reader);
  CHECK(second.inputs[0].name == "x");
  CHECK(ValuesOf<float>(second.inputs[0]) == std::vector<float>{2});
  CHECK(second.inputs[1].name == "n");
  CHECK(second.inputs[1].shape.empty());
  CHECK(ValuesOf<uint8_t>(second.inputs[1]) == std::vector<uint8_t>{8});
  CHECK(AtEnd(**reader));
}

TEST_CASE("A .npz file with arrays of unequal lengths is refused", "[client]") {
  const ScratchFolder folder;
  WriteZip(folder.Path("a.npz"),
           {{"x.npy", NpyText(ArrayOf<float>("", DataType::kFp32, {2}, {1, 2}))},
            {"n.npy", NpyText(ArrayOf<uint8_t>("", DataType::kUint8, {1}, {7}))}});
  CHECK(RefusedWith(folder.Path("a.npz")).find("\"x\" has 2 rows, \"n\" has 1") !=
        std::string::npos);
  WriteZip(folder.Path("b.npz"), {{"readme.txt", "hello"}});
  CHECK(RefusedWith(folder.Path("b.npz")).find("\"readme.txt\" is not a .npy array") !=
        std::string::npos);
}

TEST_CASE("Bad rows of a .csv file fail alone", "[client]") {
  const ScratchFolder folder;
  const std::string path = folder.Write("a.csv", "p,\"q, r\"\r\n1,2\r\n\r\n3,oops\r\n4\r\n5,\"6\"");
  auto reader = OpenDataset({path, {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  CHECK(ValuesOf<double>(Take(**reader).inputs[0]) == std::vector<double>{1, 2});
  const auto word = (*reader)->Next();
  CHECK(absl::IsInvalidArgument(word.status()));
  CHECK(word.status().message() == "line 4, column 2: \"oops\" is not a number");
  CHECK((*reader)->Next().status().message() == "line 5 has 1 columns where 2 are expected");
  CHECK(ValuesOf<double>(Take(**reader).inputs[0]) == std::vector<double>{5, 6});
  CHECK(AtEnd(**reader));
}

TEST_CASE("Columns of a .csv file make the inputs that are asked for", "[client]") {
  const ScratchFolder folder;
  const std::string path = folder.Write("a.csv", "id,a,b,c\n9,1,2,3\n");
  auto reader = CsvReader::Open(path, {"x=2-3", "y=c"});
  REQUIRE(reader.ok());
  const Row row = Take(**reader);
  CHECK(row.inputs[0].name == "x");
  CHECK(ValuesOf<double>(row.inputs[0]) == std::vector<double>{1, 2});
  CHECK(row.inputs[1].name == "y");
  CHECK(ValuesOf<double>(row.inputs[1]) == std::vector<double>{3});
  CHECK(absl::IsInvalidArgument(CsvReader::Open(path, {"x=d"}).status()));
  CHECK(absl::IsInvalidArgument(CsvReader::Open(path, {"x=5"}).status()));
  CHECK(absl::IsInvalidArgument(CsvReader::Open(path, {"x"}).status()));
}

TEST_CASE("A number too large for a .csv file's row is told, and rows know their lines",
          "[client]") {
  const ScratchFolder folder;
  auto reader = OpenDataset(
      {folder.Write("a.csv", "a,b\n1e999,2\n\n-1e999,2\ninf,nan\n"), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  CHECK((*reader)->Next().status().message() == "line 2, column 1: \"1e999\" is too large");
  CHECK((*reader)->Next().status().message() == "line 4, column 1: \"-1e999\" is too large");
  const Row row = Take(**reader);
  CHECK(std::isinf(ValuesOf<double>(row.inputs[0])[0]));
  CHECK(row.place == "line 5");
  CHECK(AtEnd(**reader));
}

TEST_CASE("A .csv file without a header loses no row", "[client]") {
  const ScratchFolder folder;
  auto reader = OpenDataset({folder.Write("a.csv", "1,2\n3,4\n"), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  Take(**reader);
  Take(**reader);
  CHECK(AtEnd(**reader));
  auto empty = OpenDataset({folder.Write("e.csv", ""), {}, ImageLayout::kChw});
  REQUIRE(empty.ok());
  CHECK(AtEnd(**empty));
}

TEST_CASE("Bad lines of a .jsonl file fail alone", "[client]") {
  const ScratchFolder folder;
  const std::string path =
      folder.Write("a.jsonl", "{\"x\":[1,2],\"s\":\"hi\"}\n{\"x\":[1\n{}\n{\"x\":[[1],2]}\n[3]\n");
  auto reader = OpenDataset({path, {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  CHECK(Take(**reader).inputs.size() == 2);
  CHECK((*reader)->Next().status().message() == "line 2 is not JSON");
  CHECK((*reader)->Next().status().message() == "line 3 holds no inputs");
  CHECK(absl::IsInvalidArgument((*reader)->Next().status()));
  CHECK(Take(**reader).inputs[0].name.empty());
  CHECK(AtEnd(**reader));
}

TEST_CASE("Images come in the order of their names, as channels of 0 to 1", "[client]") {
  const ScratchFolder folder;
  const std::vector<uint8_t> pixels = {255, 0, 51, 0, 255, 102};
  REQUIRE(stbi_write_png(folder.Path("b.png").c_str(), 2, 1, 3, pixels.data(), 6) != 0);
  folder.Write("a.PNG", "not an image");
  folder.Write("notes.txt", "left out");
  auto reader = OpenDataset({folder.Path("."), {}, ImageLayout::kChw});
  REQUIRE(reader.ok());
  CHECK((*reader)->row_count() == 2);
  CHECK((*reader)->Next().status().message() ==
        "a.PNG is not a .png or .jpg image that can be read");
  const Row row = Take(**reader);
  CHECK(row.source == "b.png");
  CHECK(row.inputs[0].shape == Shape{3, 1, 2});
  CHECK(ValuesOf<float>(row.inputs[0]) == std::vector<float>{1, 0, 0, 1, 0.2f, 0.4f});
}

TEST_CASE("A data set that changed has another fingerprint", "[client]") {
  const ScratchFolder folder;
  const DatasetFile file{folder.Write("a.csv", "1,2\n"), {}, ImageLayout::kChw};
  const auto before = Fingerprint(file);
  REQUIRE(before.ok());
  CHECK(*before == *Fingerprint(file));
  folder.Write("a.csv", "1,2\n3,4\n");
  CHECK(*before != *Fingerprint(file));
}

}  // namespace
}  // namespace tandem::client
