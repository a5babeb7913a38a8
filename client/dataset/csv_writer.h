// Predictions as a table: row, error, and a column for each element of each output ("forest.label",
// "net.probs[2]"). Columns come in the order in which outputs first appear; a model without an
// answer leaves its cells empty.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/dataset/output_file.h"
#include "client/dataset/prediction_writer.h"

namespace tandem::client {

class CsvWriter : public PredictionWriter {
 public:
  // See OpenWriter. `named_rows`: the table has a column "source".
  static absl::StatusOr<std::unique_ptr<CsvWriter>> Open(const std::string& path, bool named_rows,
                                                         const nlohmann::json& state);

  absl::Status Write(const Prediction& prediction) override;
  absl::StatusOr<nlohmann::json> Checkpoint() override;
  absl::Status Complete() override;
  absl::StatusOr<std::string> Suspend() override;

 private:
  // Columns of one output.
  struct Group {
    std::string name;
    int64_t count = 0;
    // Where the first row with them begins. Those before have failed, or their models have.
    uint64_t since = 0;
  };

  CsvWriter(std::string path, bool named_rows, OutputFile body)
      : path_(std::move(path)), named_rows_(named_rows), body_(std::move(body)) {}
  absl::Status AddCells(const std::string& name, const Array& output,
                        std::vector<std::vector<std::string>>& cells);
  std::string Header() const;
  // Columns that a row which begins there does not have.
  size_t MissingColumns(uint64_t row) const;
  // Header and body together, under the name with ".partial".
  absl::Status Assemble();

  const std::string path_;
  const bool named_rows_;
  // The rows. The header is known only when all of them are.
  OutputFile body_;
  std::vector<Group> groups_;
};

}  // namespace tandem::client
