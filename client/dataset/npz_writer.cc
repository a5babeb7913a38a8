#include "client/dataset/npz_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/element.h"
#include "client/npy_format.h"

namespace tandem::client {
namespace {

// Room for the header of each .npy file, whose number of rows is known at the end.
constexpr size_t kHeaderBytes = 512;

std::string FillerFor(DataType type, size_t count) {
  std::string filler;
  if (type == DataType::kFp16 || type == DataType::kFp32 || type == DataType::kFp64) {
    VisitElementType(type, [&](auto sample) {
      using T = decltype(sample);
      for (size_t i = 0; i < count; ++i) AppendElement(filler, T(std::nan("")));
    });
  } else {
    filler.assign(count * ElementSize(type), '\0');
  }
  return filler;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NpzWriter>> NpzWriter::Open(const std::string& path,
                                                           const nlohmann::json& state) {
  auto writer = absl::WrapUnique(new NpzWriter(path));
  if (state.is_null()) {
    const absl::Status status = writer->OpenColumn("row_ok", DataType::kBool, {}, 0);
    if (!status.ok()) return status;
    return writer;
  }
  writer->rows_ = state.at("rows").get<int64_t>();
  for (const nlohmann::json& column : state.at("columns")) {
    const std::vector<int64_t> dims = column.at("shape").get<std::vector<int64_t>>();
    const DataType type = ParseDataType(column.at("type").get<std::string>());
    const Shape row_shape(dims.begin(), dims.end());
    if (!HasNpyType(type) || !ByteSize(type, row_shape).ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ".progress is damaged: delete it to start again"));
    }
    const absl::Status status =
        writer->OpenColumn(column.at("name").get<std::string>(), type, row_shape, writer->rows_);
    if (!status.ok()) return status;
  }
  return writer;
}

absl::Status NpzWriter::OpenColumn(const std::string& name, DataType type, const Shape& row_shape,
                                   int64_t rows) {
  std::string filler = FillerFor(type, static_cast<size_t>(ElementCount(row_shape).value_or(0)));
  const int64_t keep =
      rows == 0 ? 0
                : static_cast<int64_t>(kHeaderBytes) + rows * static_cast<int64_t>(filler.size());
  absl::StatusOr<OutputFile> file =
      OutputFile::Open(absl::StrCat(path_, ".column", columns_.size()), keep);
  if (!file.ok()) return file.status();
  if (rows == 0) {
    const absl::Status status = file->Append(std::string(kHeaderBytes, ' '));
    if (!status.ok()) return status;
  }
  columns_.push_back({name, type, row_shape, std::move(filler), *std::move(file), false});
  return absl::OkStatus();
}

absl::Status NpzWriter::FillUp(Column& column, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    const absl::Status status = column.file.Append(column.filler);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status NpzWriter::Put(const std::string& name, const Array& output) {
  if (!HasNpyType(output.type)) {
    return absl::InvalidArgumentError(absl::StrCat("output \"", name, "\" is ",
                                                   TypeText(output.type),
                                                   ", which a .npz cannot hold; a .jsonl can"));
  }
  auto column = std::find_if(columns_.begin(), columns_.end(),
                             [&name](const Column& other) { return other.name == name; });
  if (column == columns_.end()) {
    absl::Status status = OpenColumn(name, output.type, output.shape, 0);
    if (status.ok()) status = FillUp(columns_.back(), rows_);
    if (!status.ok()) return status;
    column = columns_.end() - 1;
  }
  if (column->type != output.type || column->row_shape != output.shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        "output \"", name, "\" is ", TypeText(output.type), ShapeToString(output.shape),
        " where earlier rows are ", TypeText(column->type), ShapeToString(column->row_shape),
        ": a .npz cannot hold that, a .jsonl can"));
  }
  column->written = true;
  return column->file.Append(output.bytes);
}

absl::Status NpzWriter::Write(const Prediction& prediction) {
  absl::Status unfit;
  for (const ModelPrediction& model : prediction.models) {
    for (const Array& output : model.outputs) {
      unfit.Update(Put(absl::StrCat(model.key, ".", output.name), output));
    }
  }
  if (prediction.combined.has_value()) {
    unfit.Update(Put(prediction.combined->name, *prediction.combined));
  }
  if (!unfit.ok() && !absl::IsInvalidArgument(unfit)) return unfit;
  Array row_ok{"row_ok", DataType::kBool, {}, {}, false};
  row_ok.bytes.push_back(prediction.FirstError().ok() && unfit.ok() ? 1 : 0);
  const absl::Status status = Put("row_ok", row_ok);
  if (!status.ok()) return status;
  for (Column& column : columns_) {
    if (!std::exchange(column.written, false)) {
      const absl::Status filled = FillUp(column, 1);
      if (!filled.ok()) return filled;
    }
  }
  ++rows_;
  return unfit;
}

absl::StatusOr<nlohmann::json> NpzWriter::Checkpoint() {
  nlohmann::json columns = nlohmann::json::array();
  for (Column& column : columns_) {
    const absl::Status status = column.file.Sync();
    if (!status.ok()) return status;
    columns.push_back(
        {{"name", column.name},
         {"type", TypeText(column.type)},
         {"shape", std::vector<int64_t>(column.row_shape.begin(), column.row_shape.end())}});
  }
  return nlohmann::json{{"rows", rows_}, {"columns", std::move(columns)}};
}

absl::Status NpzWriter::Pack() {
  const std::string partial = path_ + ".partial";
  int error = 0;
  zip_t* archive = zip_open(partial.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  if (archive == nullptr) return absl::DataLossError(absl::StrCat(partial, " cannot be written"));
  for (Column& column : columns_) {
    Shape shape = column.row_shape;
    shape.insert(shape.begin(), rows_);
    absl::Status status = column.file.Overwrite(WriteNpyHeader(column.type, shape, kHeaderBytes));
    if (status.ok()) status = column.file.Sync();
    // A name with a slash would be a folder.
    const std::string name = absl::StrReplaceAll(column.name, {{"/", "_"}}) + ".npy";
    zip_source_t* source = zip_source_file(archive, column.file.path().c_str(), 0, -1);
    const zip_int64_t index = !status.ok() || source == nullptr
                                  ? -1
                                  : zip_file_add(archive, name.c_str(), source, ZIP_FL_OVERWRITE);
    if (index < 0) {
      if (source != nullptr) zip_source_free(source);
      zip_discard(archive);
      return status.ok() ? absl::DataLossError(absl::StrCat(partial, " cannot be written"))
                         : status;
    }
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
    // 1980-01-01, as NumPy writes it: equal predictions make equal files, whenever they are
    // written.
    zip_file_set_dostime(archive, static_cast<zip_uint64_t>(index), 0, 0x21, 0);
  }
  if (zip_close(archive) != 0) {
    const std::string reason = zip_strerror(archive);
    zip_discard(archive);
    return absl::DataLossError(absl::StrCat(partial, " cannot be written: ", reason));
  }
  const int fd = open(partial.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  return absl::OkStatus();
}

absl::Status NpzWriter::Complete() {
  absl::Status status = Pack();
  if (status.ok()) status = MoveInPlace(path_ + ".partial", path_);
  if (!status.ok()) return status;
  std::error_code ignored;
  for (const Column& column : columns_) std::filesystem::remove(column.file.path(), ignored);
  return status;
}

absl::StatusOr<std::string> NpzWriter::Suspend() {
  const absl::Status status = Pack();
  if (!status.ok()) return status;
  return path_ + ".partial";
}

}  // namespace tandem::client
