// Predictions as lines of JSON: {"row":0,"models":{"forest":{"label":[3]}},"combined":{"vote":3}};
// what failed stands under "error", or under "errors" by model.
#pragma once

#include <memory>
#include <string>

#include "client/dataset/output_file.h"
#include "client/dataset/prediction_writer.h"

namespace tandem::client {

class JsonlWriter : public PredictionWriter {
 public:
  // See OpenWriter.
  static absl::StatusOr<std::unique_ptr<JsonlWriter>> Open(const std::string& path,
                                                           const nlohmann::json& state);

  absl::Status Write(const Prediction& prediction) override;
  absl::StatusOr<nlohmann::json> Checkpoint() override;
  absl::Status Complete() override;
  absl::StatusOr<std::string> Suspend() override;

 private:
  JsonlWriter(std::string path, OutputFile file) : path_(std::move(path)), file_(std::move(file)) {}

  const std::string path_;
  OutputFile file_;
};

}  // namespace tandem::client
