#include "server/grpc_messages.h"

#include <grpc/support/log.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem::server {
namespace {

// What is written to stderr meanwhile.
template <typename Action>
std::string Stderr(const Action& action) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("stderr", "");
  const int original = dup(STDERR_FILENO);
  REQUIRE(std::freopen(path.c_str(), "w", stderr) != nullptr);
  action();
  std::fflush(stderr);
  dup2(original, STDERR_FILENO);
  close(original);
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("Of gRPC's messages the assertion that ends the process is told", "[grpc]") {
  if (std::getenv("GRPC_VERBOSITY") != nullptr) return;
  QuietGrpc();
  CHECK(Stderr([] { gpr_log(GPR_ERROR, "a peer sent %s", "nonsense"); }).empty());
  const std::string told = Stderr([] { gpr_log(GPR_ERROR, "assertion failed: %s", "a > b"); });
  CHECK(absl::StrContains(told, "gRPC ends this process"));
  CHECK(absl::StrContains(told, "assertion failed: a > b"));
  gpr_set_log_function(nullptr);
}

}  // namespace
}  // namespace tandem::server
