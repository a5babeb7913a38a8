#include <sys/socket.h>

#include <cstdlib>
#include <string>

#include "backends/ipc/control_channel.h"
#include "backends/worker/model_messages.h"
#include "tests/fuzz/targets.h"
#include "worker.pb.h"

namespace tandem::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

template <typename Message>
Message Take(absl::Span<const uint8_t> bytes) {
  auto ends = ipc::ControlChannel::CreatePair();
  Require(ends.ok());
  Require(send(ends->first.fd(), bytes.data(), bytes.size(), 0) ==
          static_cast<ssize_t>(bytes.size()));
  Message message;
  std::vector<ipc::UniqueFd> descriptors;
  const absl::Status status = ends->second.Receive(message, descriptors);
  Require(status.ok() || absl::IsInternal(status) ||
          (bytes.empty() && absl::IsUnavailable(status)));
  Require(!status.ok() || bytes.size() <= ipc::kMaxControlBytes);
  return status.ok() ? message : Message();
}

void Run(absl::Span<const uint8_t> bytes) {
  Take<worker::v1::FromWorker>(bytes);
  const auto message = Take<worker::v1::ToWorker>(bytes);
  if (!message.has_load_model()) return;
  const auto spec = worker::SpecFromMessage(message.load_model(), 1, 1);
  if (!spec.ok()) return;
  for (const TensorSpec& input : spec->inputs) {
    Require(DataTypeFromNumber(static_cast<uint32_t>(input.type)) == input.type);
    Require(input.dims.size() <= kMaxRank);
  }
}

std::vector<uint8_t> Seed(const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  return {bytes.begin(), bytes.end()};
}

worker::v1::ToWorker LoadModel() {
  worker::v1::ToWorker message;
  worker::v1::LoadModel& load = *message.mutable_load_model();
  load.set_handle(7);
  load.set_name("digits");
  load.set_platform("synthetic");
  worker::v1::TensorSpec& input = *load.add_inputs();
  input.set_name("pixels");
  input.set_data_type(11);
  input.add_dims(-1);
  input.add_dims(64);
  (*load.mutable_parameters())["alpha_us"] = "10";
  return message;
}

}  // namespace

Target ControlPacket() {
  worker::v1::ToWorker hello;
  hello.mutable_hello()->set_protocol_version(1);
  hello.mutable_hello()->set_lanes(4);
  worker::v1::FromWorker failed;
  failed.mutable_model_failed()->set_reason("no such file");
  return {"ControlPacket", Run, {Seed(hello), Seed(LoadModel()), Seed(failed)}};
}

}  // namespace tandem::fuzz
