#include "simulation/scenario.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/file_text.h"

namespace tandem::simulation {
namespace {

using Json = nlohmann::json;

constexpr double kMostRequests = 1e8;
constexpr double kLongestMs = 3.6e6;

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
      Fail(key,
           absl::StrCat("expected a number from ", least, " to ", most, ", got ", given.dump()));
      return;
    }
    *value = given.get<double>();
  }

  void Text(const char* key, std::string* value) {
    if (!Has(key)) return;
    if (json_[key].is_string()) {
      *value = json_[key].get<std::string>();
    } else {
      Fail(key, absl::StrCat("expected a text, got ", json_[key].dump()));
    }
  }

  void Fail(const std::string& key, const std::string& what) {
    if (!status_.ok()) return;
    status_ =
        absl::InvalidArgumentError(absl::StrCat(where_, key.empty() ? "" : ".", key, ": ", what));
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

absl::Status ReadPool(const Json& json, const std::string& where, SimulatedPool* pool) {
  Fields fields(json, where);
  fields.Text("name", &pool->name);
  std::string kind = "cpu";
  fields.Text("kind", &kind);
  if (kind != "cpu" && kind != "gpu") fields.Fail("kind", "expected 'cpu' or 'gpu'");
  pool->kind = kind == "gpu" ? PoolKind::kGpu : PoolKind::kCpu;
  if (pool->name.empty()) pool->name = kind;
  double lanes = 1;
  double alpha_ms = 0;
  double beta_ms = 0;
  fields.Number("lanes", 1, 1024, &lanes);
  fields.Number("alpha_ms", 0, kLongestMs, &alpha_ms);
  fields.Number("beta_ms", 0, kLongestMs, &beta_ms);
  if (alpha_ms + beta_ms <= 0) fields.Fail("beta_ms", "a batch must take some time");
  pool->lanes = static_cast<uint32_t>(lanes);
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
      fields.Fail("file", absl::StrCat("'", file, "': ", text.status().message()));
    }
  } else if (kind != "poisson") {
    fields.Fail("kind", absl::StrCat("expected 'poisson', 'gamma' or 'replay', got '", kind, "'"));
  }
  return fields.Finish();
}

absl::Status ReadLoads(Fields& fields, std::vector<double>* loads) {
  if (!fields.Has("loads")) return absl::OkStatus();
  if (!fields.At("loads").is_array() || fields.At("loads").empty()) {
    return absl::InvalidArgumentError(absl::StrCat("loads: expected a list of numbers, got ",
                                                   fields.At("loads").dump(),
                                                   "; leave it out for the usual ones"));
  }
  for (const Json& load : fields.At("loads")) {
    if (!load.is_number() || load.get<double>() <= 0 || load.get<double>() > 100) {
      return absl::InvalidArgumentError(
          absl::StrCat("loads: expected numbers above 0 and up to 100, got ", load.dump()));
    }
    loads->push_back(load.get<double>());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(std::string_view text, std::string name,
                                       const std::string& folder) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("the file is not JSON");
  Scenario scenario;
  scenario.name = std::move(name);
  Fields fields(json, "scenario");
  fields.Text("name", &scenario.name);
  fields.Text("about", &scenario.about);
  double slo_ms = 0;
  double max_batch_size = 1;
  auto requests = static_cast<double>(scenario.requests);
  auto seed = static_cast<double>(scenario.seed);
  fields.Number("slo_ms", 0.001, kLongestMs, &slo_ms, /*required=*/true);
  fields.Number("max_batch_size", 1, 65536, &max_batch_size);
  fields.Number("cost_error", 0, 0.95, &scenario.cost_error);
  fields.Number("requests", 1, kMostRequests, &requests);
  fields.Number("seed", 0, 1e15, &seed);
  scenario.slo = Milliseconds(slo_ms);
  scenario.max_batch_size = static_cast<int64_t>(max_batch_size);
  scenario.requests = static_cast<uint64_t>(requests);
  scenario.seed = static_cast<uint64_t>(seed);
  absl::Status status = ReadLoads(fields, &scenario.loads);
  if (fields.Has("arrivals")) {
    status.Update(ReadArrivals(fields.At("arrivals"), folder, &scenario.arrivals));
  }
  if (fields.Has("pools") && fields.At("pools").is_array()) {
    for (const Json& pool : fields.At("pools")) {
      const std::string where = absl::StrCat("pools[", scenario.pools.size(), "]");
      status.Update(ReadPool(pool, where, &scenario.pools.emplace_back()));
    }
  }
  if (scenario.pools.empty()) fields.Fail("pools", "expected a list of at least one pool");
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
