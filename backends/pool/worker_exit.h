// How a worker's process ended. A value.
#pragma once

#include <string>

namespace tandem {

struct WorkerExit {
  // The exit code, where `signal` is 0.
  int code = 0;
  // The signal that ended it, or 0.
  int signal = 0;
};

// "killed by signal 9 (SIGKILL)", "exited with code 1".
std::string Describe(const WorkerExit& exit);

// Of a worker that ended before it was ready, what an operator can do or look at.
std::string AdviceAtStart(const WorkerExit& exit);

// By a signal that anybody may send: then it says nothing of what the worker did.
bool WasSignalled(const WorkerExit& exit);

}  // namespace tandem
