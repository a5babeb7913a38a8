#include "client/chaos/chaos_models.h"

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/chaos/echo_request.h"

namespace tandem::client {
namespace {

// A run takes so long that a worker which dies has some at hand, and sleeps meanwhile. The limit is
// what a stopped or hanging worker gets.
constexpr char kConfig[] = R"(platform: "synthetic"
max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_UINT8 dims: [ %d ] }
output { name: "OUTPUT0" data_type: TYPE_UINT8 dims: [ %d ] }
dynamic_batching {}
instance_group { kind: KIND_CPU }
parameters { key: "alpha_us" value { string_value: "5000" } }
parameters { key: "execution_timeout_ms" value { string_value: "1000" } }
parameters { key: "trigger" value { string_value: "poison" } }
)";

}  // namespace

absl::Status WriteChaosModels(const std::string& folder) {
  constexpr std::pair<const char*, const char*> kModes[] = {{kEchoModel, "echo"},
                                                            {kHangModel, "hang"},
                                                            {kGarbageModel, "garbage"},
                                                            {kPoisonModel, "crash"}};
  const std::string config = absl::StrReplaceAll(kConfig, {{"%d", absl::StrCat(kEchoBytes)}});
  for (const auto& [name, mode] : kModes) {
    const std::filesystem::path model = std::filesystem::path(folder) / name;
    std::error_code error;
    std::filesystem::create_directories(model / "1", error);
    std::ofstream file(model / "config.pbtxt");
    file << "name: \"" << name << "\"\n"
         << config << "parameters { key: \"mode\" value { string_value: \"" << mode << "\" } }\n";
    file.close();
    if (error || !file) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write the models into ", folder, "; name a folder that can be"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tandem::client
