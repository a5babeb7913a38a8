// Threads that the system may refuse.
#pragma once

#include <pthread.h>

#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace tandem {

// RESOURCE_EXHAUSTED where the system gives no more: a container's or a user's limit of processes
// counts threads. Throws nothing. Tools like top show the name's first 15 characters.
template <typename Body>
absl::StatusOr<std::thread> StartThread(std::string_view name, Body body) {
  try {
    std::thread thread(std::move(body));
    constexpr size_t kLongestName = 15;
    pthread_setname_np(thread.native_handle(), std::string(name.substr(0, kLongestName)).c_str());
    return thread;
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system gives no thread: ", error.code().message()));
  }
}

}  // namespace tandem
