// grpc.health.v1: what the server as a whole ("") and each model tell of themselves. gRPC brings
// such a service, but with threads of its own, which would take turns with the server's at
// waiting. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "health.pb.h"
#include "server/call.h"

namespace tandem::server {

class HealthService {
 public:
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  // This outlives the calls.
  void AddTo(Call::Methods& methods);

  // Those who watch the service are told, where it differs from before.
  void SetServing(const std::string& service, bool serving);

  // Ends the calls that watch: they would else last as long as their clients like. Later ones end
  // at once.
  void Stop();

 private:
  class Watch;

  // SERVICE_UNKNOWN where nothing was set. With mutex_ held.
  Status StatusOf(const std::string& service) const;
  // False after Stop. The watch hears of each change from now on.
  bool Enter(Watch& watch, Status* now);
  void Leave(Watch& watch);

  std::mutex mutex_;
  // All guarded by mutex_.
  std::map<std::string, bool> serving_;
  std::multimap<std::string, Watch*> watches_;
  bool stopped_ = false;
};

}  // namespace tandem::server
