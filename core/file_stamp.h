// Tells whether a file is still what it was: the same one, and not written to since. Pure.
#pragma once

#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace tandem {

// Not of the file's name: a file that was renamed is what it was.
inline std::string StampOf(const struct stat& info) {
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec,
                      ".", info.st_mtim.tv_nsec, ";");
}

}  // namespace tandem
