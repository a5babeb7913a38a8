#include "server/cost_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/file_text.h"

namespace tandem::server {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 2;
// An hour: longer is no batch's time.
constexpr int64_t kLongestNs = int64_t{3'600} * 1'000'000'000;

absl::Status Broken(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat("--state-file=", path, ": it holds no saved times; they are learnt anew"));
}

bool IsTime(const Json& json) {
  return json.is_number_integer() && json.get<int64_t>() >= 0 && json.get<int64_t>() <= kLongestNs;
}

}  // namespace

absl::Status CheckCostFile(const std::string& path) {
  const auto invalid = [&path](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat("--state-file=", path, ": ", why...));
  };
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return invalid("it is no regular file, and those alone can be replaced; name another");
  }
  std::string draft = path + ".XXXXXX";
  const int fd = mkostemp(draft.data(), O_CLOEXEC);
  if (fd < 0) {
    return invalid("it cannot be written (", strerrordesc_np(errno),
                   "); is its folder there, and may this user write to it?");
  }
  close(fd);
  std::remove(draft.c_str());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SavedCost>> ReadCosts(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFileText(path);
  if (absl::IsNotFound(text.status())) return std::vector<SavedCost>();
  if (!text.ok()) {
    return absl::UnavailableError(
        absl::StrCat("--state-file=", path, ": ", text.status().message()));
  }
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", Json()) != Json(kFormat) ||
      !json.value("costs", Json()).is_array()) {
    return Broken(path);
  }
  std::vector<SavedCost> costs;
  for (const Json& each : json["costs"]) {
    if (!each.is_object() || !each.value("model", Json()).is_string() ||
        !each.value("version", Json()).is_number_integer() ||
        !each.value("pool", Json()).is_string() || !IsTime(each.value("alpha_ns", Json())) ||
        !IsTime(each.value("beta_ns", Json())) ||
        !each.value("batches", Json()).is_number_unsigned() ||
        !each.value("is_of_one_size", Json()).is_boolean()) {
      return Broken(path);
    }
    PoolCost cost;
    cost.pool = each["pool"];
    cost.alpha = Duration{each["alpha_ns"].get<int64_t>()};
    cost.beta = Duration{each["beta_ns"].get<int64_t>()};
    cost.batches = each["batches"];
    cost.is_of_one_size = each["is_of_one_size"];
    costs.push_back({each["model"], each["version"], std::move(cost)});
  }
  return costs;
}

absl::Status WriteCosts(const std::string& path, absl::Span<const ModelStatus> models) {
  Json costs = Json::array();
  for (const ModelStatus& model : models) {
    for (const PoolCost& cost : model.costs) {
      costs.push_back({{"model", model.name},
                       {"version", model.version},
                       {"pool", cost.pool},
                       {"alpha_ns", std::max<int64_t>(0, cost.alpha.count())},
                       {"beta_ns", std::max<int64_t>(0, cost.beta.count())},
                       {"batches", cost.batches},
                       {"is_of_one_size", cost.is_of_one_size}});
    }
  }
  const std::string fresh = path + ".new";
  std::ofstream stream(fresh, std::ios::binary | std::ios::trunc);
  stream << Json({{"format", kFormat}, {"costs", std::move(costs)}}).dump(1) << "\n";
  stream.close();
  if (stream && std::rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const absl::Status unwritable = absl::UnavailableError(
      absl::StrCat("--state-file=", path, ": it cannot be written: ", strerrordesc_np(errno)));
  std::remove(fresh.c_str());
  return unwritable;
}

}  // namespace tandem::server
