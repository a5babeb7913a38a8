// A leak, planted into a build of the server that is linked with --wrap=posix_spawn: each worker
// that is started costs it what TANDEM_TEST_LEAK names, for ever. For the test that such a leak is
// found; no part of the server has it.
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr size_t kLeakedBytes = 4'000'000;

// Where the last leak lies: a compiler leaves out what nobody could ever look at.
void* volatile leaked = nullptr;

void* WaitForEver(void*) {
  while (true) pause();
}

void Leak(std::string_view what) {
  if (what == "memory") {
    // Touched, so that it is really taken.
    leaked = std::malloc(kLeakedBytes);
    std::memset(leaked, 1, kLeakedBytes);
  } else if (what == "descriptor") {
    [[maybe_unused]] const int lost = open("/dev/null", O_RDONLY | O_CLOEXEC);
  } else if (what == "thread") {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, &WaitForEver, nullptr) == 0) pthread_detach(thread);
  }
}

}  // namespace

// The linker's names for the wrapper and what it wraps.
extern "C" {

int __real_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const arguments[],
                       char* const environment[]);

int __wrap_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const arguments[],
                       char* const environment[]) {
  if (const char* what = std::getenv("TANDEM_TEST_LEAK"); what != nullptr) Leak(what);
  return __real_posix_spawn(pid, path, actions, attributes, arguments, environment);
}
}
