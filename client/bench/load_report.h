// What a load measured, as JSON for scripts and as a table with a plot for people. Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/bench/load_generator.h"
#include "client/text_table.h"

namespace tandem::client {

// One object: the level, calls per second, failures, latencies in microseconds, which are null
// where no call has one.
nlohmann::json ToJson(const LoadResult& result);

// A row for each level.
std::string RenderTable(const std::vector<LoadResult>& results, const Style& style);

// A sentence on what a row's figures leave out: calls that were never sent, or why there is no
// latency. Empty where they are complete.
std::string Remark(const LoadResult& result);

// Of one level how its latencies lie; of several the calls per second of each. Bars of at most
// `width` characters.
std::string RenderPlot(const std::vector<LoadResult>& results, size_t width);

}  // namespace tandem::client
