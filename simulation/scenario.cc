#include "simulation/scenario.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "core/file_text.h"
#include "core/printable.h"

namespace tandem::simulation {
namespace {

using Json = nlohmann::json;

constexpr double kLongestMs = 3.6e6;
// A batch of one row must not be shorter: rates are to stay finite.
constexpr double kShortestMs = 0.001;
constexpr size_t kMostPools = 64;
// Each request looks at them all: with more of them a run takes minutes.
constexpr uint64_t kMostLanes = 4096;
constexpr size_t kMostLoads = 1000;
constexpr double kLeastLoad = 0.001;
constexpr double kMostLoad = 100;

// A value, for a message.
std::string Told(const Json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  return Excerpt(value.dump());
}

// Takes the fields of one JSON object, each at most once, and remembers the first thing wrong.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json_.is_object()) Fail("", "expected an object");
  }

  bool Has(const char* key) {
    known_.insert(key);
    return json_.is_object() && json_.contains(key);
  }

  const Json& At(const char* key) const { return json_.at(key); }

  void Number(const char* key, double least, double most, double* value, bool required = false) {
    if (!Has(key)) {
      if (required) Fail(key, "the field is missing");
      return;
    }
    const Json& given = json_[key];
    if (!given.is_number() || given.get<double>() < least || given.get<double>() > most) {
      Fail(key, absl::StrFormat("expected a number from %.10g to %.10g, got %s", least, most,
                                Told(given)));
      return;
    }
    *value = given.get<double>();
  }

  // A whole number.
  template <typename Integer>
  void Count(const char* key, uint64_t least, uint64_t most, Integer* value) {
    if (!Has(key)) return;
    const Json& given = json_[key];
    const double number = given.is_number() ? given.get<double>() : -1;
    if (number < static_cast<double>(least) || number > static_cast<double>(most) ||
        number != std::floor(number)) {
      Fail(key, absl::StrCat("expected a whole number from ", least, " to ", most, ", got ",
                             Told(given)));
      return;
    }
    *value = static_cast<Integer>(number);
  }

  void Text(const char* key, std::string* value) {
    if (!Has(key)) return;
    if (json_[key].is_string()) {
      *value = json_[key].get<std::string>();
    } else {
      Fail(key, absl::StrCat("expected a text, got ", Told(json_[key])));
    }
  }

  void Fail(const std::string& key, const std::string& what) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        absl::StrCat(where_, key.empty() ? "" : ".", Excerpt(key), ": ", what));
  }

  // OK where all fields were right and none was unknown.
  absl::Status Finish() {
    if (status_.ok()) {
      for (const auto& [key, value] : json_.items()) {
        if (known_.count(key) == 0) Fail(key, "no such field");
      }
    }
    return status_;
  }

 private:
  const Json& json_;
  const std::string where_;
  std::set<std::string> known_;
  absl::Status status_;
};

Duration Milliseconds(double value) { return Duration{static_cast<int64_t>(value * 1e6)}; }

absl::Status ReadPool(const Json& json, const std::string& where, std::set<std::string>* names,
                      SimulatedPool* pool) {
  Fields fields(json, where);
  fields.Text("name", &pool->name);
  std::string kind = "cpu";
  fields.Text("kind", &kind);
  if (kind != "cpu" && kind != "gpu") fields.Fail("kind", "expected 'cpu' or 'gpu'");
  pool->kind = kind == "gpu" ? PoolKind::kGpu : PoolKind::kCpu;
  if (pool->name.empty()) pool->name = kind;
  if (!names->insert(pool->name).second) {
    fields.Fail("name", absl::StrCat("another pool has the name '", Excerpt(pool->name),
                                     "'; give each a name of its own"));
  }
  double alpha_ms = 0;
  double beta_ms = 0;
  fields.Count("lanes", 1, 1024, &pool->lanes);
  fields.Number("alpha_ms", 0, kLongestMs, &alpha_ms);
  fields.Number("beta_ms", 0, kLongestMs, &beta_ms);
  if (alpha_ms + beta_ms < kShortestMs) {
    fields.Fail("beta_ms",
                absl::StrCat("a batch of one row takes alpha_ms + beta_ms; expected at least ",
                             kShortestMs, " ms, got ", alpha_ms + beta_ms));
  }
  pool->alpha = Milliseconds(alpha_ms);
  pool->beta = Milliseconds(beta_ms);
  return fields.Finish();
}

absl::Status ReadArrivals(const Json& json, const std::string& folder, Arrivals* arrivals) {
  Fields fields(json, "arrivals");
  std::string kind = "poisson";
  fields.Text("kind", &kind);
  if (kind == "gamma") {
    fields.Number("burstiness", 0.01, 1000, &arrivals->burstiness, /*required=*/true);
  } else if (kind == "replay") {
    arrivals->kind = Arrivals::Kind::kReplay;
    std::string file;
    fields.Text("file", &file);
    constexpr size_t kMostBytes = size_t{256} << 20;
    absl::StatusOr<std::string> text = ReadFileText(
        file.empty() || file[0] == '/' ? file : absl::StrCat(folder, "/", file), kMostBytes);
    if (text.ok()) {
      arrivals->csv = *std::move(text);
    } else {
      fields.Fail("file", absl::StrCat("'", Excerpt(file), "': ", text.status().message()));
    }
  } else if (kind != "poisson") {
    fields.Fail("kind",
                absl::StrCat("expected 'poisson', 'gamma' or 'replay', got '", Excerpt(kind), "'"));
  }
  return fields.Finish();
}

absl::Status ReadLoads(Fields& fields, std::vector<double>* loads) {
  if (!fields.Has("loads")) return absl::OkStatus();
  if (!fields.At("loads").is_array() || fields.At("loads").empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("loads: expected a list of one number or more, got ",
                     fields.At("loads").is_array() ? "none" : Told(fields.At("loads")),
                     "; leave it out for the usual ones"));
  }
  if (fields.At("loads").size() > kMostLoads) {
    return absl::InvalidArgumentError(absl::StrCat("loads: expected at most ", kMostLoads,
                                                   " numbers, got ", fields.At("loads").size()));
  }
  for (const Json& load : fields.At("loads")) {
    if (!load.is_number() || load.get<double>() < kLeastLoad || load.get<double>() > kMostLoad) {
      return absl::InvalidArgumentError(absl::StrCat("loads: expected numbers from ", kLeastLoad,
                                                     " to ", kMostLoad, ", got ", Told(load)));
    }
    loads->push_back(load.get<double>());
  }
  return absl::OkStatus();
}

absl::Status ReadPools(Fields& fields, std::vector<SimulatedPool>* pools) {
  if (!fields.Has("pools") || !fields.At("pools").is_array() || fields.At("pools").empty()) {
    fields.Fail("pools", "expected a list of at least one pool");
    return absl::OkStatus();
  }
  const Json& list = fields.At("pools");
  if (list.size() > kMostPools) {
    fields.Fail("pools", absl::StrCat("expected at most ", kMostPools, ", got ", list.size()));
    return absl::OkStatus();
  }
  std::set<std::string> names;
  absl::Status status;
  for (const Json& pool : list) {
    const std::string where = absl::StrCat("pools[", pools->size(), "]");
    status.Update(ReadPool(pool, where, &names, &pools->emplace_back()));
  }
  const uint64_t lanes =
      std::accumulate(pools->begin(), pools->end(), uint64_t{0},
                      [](uint64_t sum, const SimulatedPool& pool) { return sum + pool.lanes; });
  if (lanes > kMostLanes) {
    fields.Fail("pools",
                absl::StrCat("expected at most ", kMostLanes, " lanes in all, got ", lanes));
  }
  return status;
}

// `place`: the number of the byte at which it stops being JSON, from 1.
absl::Status SyntaxError(std::string_view text, size_t place) {
  const std::string_view before = text.substr(0, place == 0 ? 0 : place - 1);
  const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t end = std::min(text.find('\n', start), text.size());
  const absl::string_view quoted =
      absl::StripAsciiWhitespace(absl::string_view(text.data() + start, end - start));
  return absl::InvalidArgumentError(absl::StrCat("the file is not JSON: line ", line, ", column ",
                                                 before.size() - start + 1, ", in `",
                                                 Excerpt({quoted.data(), quoted.size()}), "`"));
}

absl::StatusOr<Json> ParseJson(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return SyntaxError(text, error.byte);
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError("the file is not JSON: a number is out of range");
  }
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(std::string_view text, std::string name,
                                       const std::string& folder) {
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) return json.status();
  Scenario scenario;
  scenario.name = std::move(name);
  Fields fields(*json, "scenario");
  fields.Text("name", &scenario.name);
  fields.Text("about", &scenario.about);
  double slo_ms = 0;
  fields.Number("slo_ms", kShortestMs, kLongestMs, &slo_ms, /*required=*/true);
  fields.Count("max_batch_size", 1, 65536, &scenario.max_batch_size);
  fields.Number("cost_error", 0, 0.95, &scenario.cost_error);
  fields.Count("requests", 1, kMostRequests, &scenario.requests);
  fields.Count("seed", 0, 1'000'000'000'000'000, &scenario.seed);
  scenario.slo = Milliseconds(slo_ms);
  absl::Status status = ReadLoads(fields, &scenario.loads);
  if (fields.Has("arrivals")) {
    status.Update(ReadArrivals(fields.At("arrivals"), folder, &scenario.arrivals));
  }
  status.Update(ReadPools(fields, &scenario.pools));
  status.Update(fields.Finish());
  if (!status.ok()) return status;
  const bool replay = scenario.arrivals.kind == Arrivals::Kind::kReplay;
  if (scenario.loads.empty() && !replay) scenario.loads = {0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5};
  if (FluidRate(scenario) <= 0) {
    return absl::InvalidArgumentError("slo_ms: no pool can answer even one request in that time");
  }
  return scenario;
}

double BestLaneRate(const Scenario& scenario, const SimulatedPool& pool) {
  double best = 0;
  for (int64_t rows = 1; rows <= scenario.max_batch_size; ++rows) {
    const Duration time = pool.TimeOf(rows);
    if (time > scenario.slo) break;
    best = std::max(best, static_cast<double>(rows) / ToSeconds(time));
  }
  return best;
}

double FluidRate(const Scenario& scenario) {
  double rate = 0;
  for (const SimulatedPool& pool : scenario.pools) {
    rate += BestLaneRate(scenario, pool) * pool.lanes;
  }
  return rate;
}

}  // namespace tandem::simulation
