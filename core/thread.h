// Threads that the system may refuse.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace tandem {

// RESOURCE_EXHAUSTED where the system gives no more: a container's or a user's limit of processes
// counts threads. Throws nothing.
template <typename Body>
absl::StatusOr<std::thread> StartThread(Body body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system gives no thread: ", error.code().message()));
  }
}

}  // namespace tandem
