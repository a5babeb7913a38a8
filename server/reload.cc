#include "server/reload.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tandem::server {
namespace {

absl::Status Unchangeable(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " cannot change while the server runs; start it again for that"));
}

// Of the first pool that differs; "pools" where one is gone, or none was asked for.
std::string PlaceOfChange(const ServeOptions& before, const ServeOptions& after) {
  for (size_t i = 0; i < after.pools.size(); ++i) {
    if (i < before.pools.size() && before.pools[i] == after.pools[i]) continue;
    const auto place = after.pool_places.find(after.pools[i].name);
    return place == after.pool_places.end() ? "pools" : place->second;
  }
  return "pools";
}

}  // namespace

absl::Status CheckReload(const ServeOptions& before, const ServeOptions& after) {
  const std::pair<const char*, bool> kept[] = {
      {"model-repository", before.model_repository == after.model_repository},
      {"model-control", before.model_control == after.model_control},
      {"address", before.address == after.address},
      {"grpc-port", before.grpc_port == after.grpc_port},
      {"http-port", before.http_port == after.http_port},
      {"metrics-port", before.metrics_port == after.metrics_port},
      {"log-format", before.log_format == after.log_format},
      {"max-message-bytes", before.max_message_bytes == after.max_message_bytes},
      {"max-streams-per-connection",
       before.max_streams_per_connection == after.max_streams_per_connection},
      {"max-metadata-bytes", before.max_metadata_bytes == after.max_metadata_bytes},
      {"max-network-bytes", before.max_network_bytes == after.max_network_bytes},
      {"max-connection-age", before.max_connection_age == after.max_connection_age},
      {"max-connections", before.max_connections == after.max_connections},
      {"restart-patience", before.restart_patience == after.restart_patience},
      {"load-timeout", before.load_timeout == after.load_timeout},
      {"quarantine", before.quarantine == after.quarantine},
      {"grpc-threads", before.grpc_threads == after.grpc_threads},
      {"state-file", before.state_file == after.state_file},
      {"front-end-cores", before.front_end_cores == after.front_end_cores},
      {"port-file", before.port_file == after.port_file},
      {"take-over", before.take_over == after.take_over},
  };
  for (const auto& [setting, same] : kept) {
    if (!same) return Unchangeable(PlaceOf(after, setting));
  }
  if (before.pools != after.pools) return Unchangeable(PlaceOfChange(before, after));
  return absl::OkStatus();
}

}  // namespace tandem::server
