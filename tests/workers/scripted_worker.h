// A worker without models: speaks the protocol and does what its script says.
#pragma once

#include <cstdint>

namespace tandem::testing {

// What a program does when it starts.
enum class Opening { kHello, kSilence, kOldVersion, kCannotServe, kExit };

// The whole program. Returns its exit code.
int RunScriptedWorker(Opening opening);

}  // namespace tandem::testing
