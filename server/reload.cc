#include "server/reload.h"

#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/serve_settings.h"

namespace tandem::server {
namespace {

absl::Status Unchangeable(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " cannot change while the server runs; start it again for that"));
}

// Of the first pool that is new or another one; "pools" where one is gone, or none was asked for.
std::string PlaceOfChange(const ServeOptions& before, const ServeOptions& after) {
  for (const PoolSpec& pool : after.pools) {
    if (absl::c_linear_search(before.pools, pool)) continue;
    const auto place = after.pool_places.find(pool.name);
    return place == after.pool_places.end() ? "pools" : place->second;
  }
  return "pools";
}

}  // namespace

absl::Status CheckReload(const ServeOptions& before, const ServeOptions& after) {
  for (const Setting& setting : Settings()) {
    if (setting.at_reload == AtReload::kTaken || setting.is_same(before, after)) continue;
    return Unchangeable(PlaceOf(after, setting.name));
  }
  if (before.pools != after.pools) return Unchangeable(PlaceOfChange(before, after));
  return absl::OkStatus();
}

}  // namespace tandem::server
