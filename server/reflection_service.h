// grpc.reflection.v1alpha: describes the server's services to clients such as grpcurl, which then
// need no .proto files. gRPC brings such a service, but with threads of its own, which would take
// turns with the server's at waiting.
#pragma once

#include <string>
#include <vector>

#include "server/call.h"

namespace tandem::server {

class ReflectionService {
 public:
  // To be added last: it lists the services of the methods that are there by then, and itself.
  // This outlives the calls.
  void AddTo(Call::Methods& methods);

 private:
  std::vector<std::string> services_;
};

}  // namespace tandem::server
