// No file can grow while this is there, as on a full disk.
#pragma once

#include <sys/resource.h>

#include <csignal>

namespace tandem::server {

class FullDisk {
 public:
  FullDisk() {
    // Else the write would end the process.
    before_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit none{0, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, before_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*before_)(int) = nullptr;
  rlimit limit_{};
};

}  // namespace tandem::server
