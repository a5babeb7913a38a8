#include "server/grpc_messages.h"

#include <grpc/support/log.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tandem::server {
namespace {

void TellFailedAssertion(gpr_log_func_args* message) {
  const std::string_view text = message->message;
  if (!text.starts_with("assertion failed")) return;
  std::fprintf(stderr, "tandem: gRPC ends this process: %s line %d: %s\n", message->file,
               message->line, message->message);
}

}  // namespace

void QuietGrpc() {
  if (std::getenv("GRPC_VERBOSITY") != nullptr) return;
  // Of the worst kind alone, to which assertions belong.
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(TellFailedAssertion);
}

}  // namespace tandem::server
