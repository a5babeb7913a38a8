// What `tandem predict` was asked to do.
#pragma once

#include <string>
#include <vector>

#include "client/connection_options.h"
#include "client/predict_plan.h"

namespace tandem::client {

struct PredictOptions {
  ConnectionOptions connection;
  PredictTemplate words;
  std::vector<std::string> inputs;

  // The data-set job. Empty `dataset`: one request.
  std::string dataset;
  std::string output;
  int concurrency = 16;
  int batch = 1;
  bool resume = false;
  bool quiet = false;
  bool no_batch_dim = false;
  // NAME=COLUMNS,COLUMNS, as --csv-input says.
  std::vector<std::string> csv_inputs;
  // "chw" or "hwc".
  std::string image_layout = "chw";
};

}  // namespace tandem::client
