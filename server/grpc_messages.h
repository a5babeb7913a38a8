// What gRPC prints of itself.
#pragma once

namespace tandem::server {

// Its messages are not for people, but for the one before it ends the process: that assertion is
// told on stderr. Who sets GRPC_VERBOSITY gets what gRPC prints by itself. Before gRPC starts.
void QuietGrpc();

}  // namespace tandem::server
