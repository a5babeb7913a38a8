// Between worker.proto's messages about models and core types.
#pragma once

#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"
#include "backends/worker/executor.h"
#include "worker.pb.h"

namespace tandem::worker {

// INVALID_ARGUMENT for a data type or a rank that does not exist. `file` is left at -1.
absl::StatusOr<ModelSpec> SpecFromMessage(const v1::LoadModel& message, uint32_t lanes,
                                          uint32_t threads);

// Puts the descriptors that came with the message into the spec, which borrows them.
// INVALID_ARGUMENT where the message tells of more or fewer.
absl::Status SetFiles(const v1::LoadModel& message, const std::vector<ipc::UniqueFd>& files,
                      ModelSpec& spec);

v1::FromWorker LoadedMessage(uint32_t handle, const Signature& signature, uint64_t load_ns);
// The reason is cut to kMaxErrorBytes, and made plain ASCII.
v1::FromWorker FailedMessage(uint32_t handle, std::string reason);

}  // namespace tandem::worker
