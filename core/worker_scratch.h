// The folder of a worker's temporary files: LibTorch unpacks compiled models there, and a worker
// that is killed cleans up nothing. So each has one of its own, and whoever started it removes that
// once it has ended. Where that one was killed as well, the next worker of the same user does. Free
// functions, thread-safe.
#pragma once

#include <sys/types.h>

#include <filesystem>

namespace tandem {

// Of the process of that number, whether it is there or not: "tandem-worker-PID" in the folder for
// temporary files. Empty where there is no such folder.
std::filesystem::path WorkerScratch(pid_t pid);

// Makes this process's own and has temporary files made there, for a process without other threads.
// It is locked for as long as the process lives; those of this user that nobody has locked are
// removed. Where it cannot be made, as in a container that lets nothing be written, nothing
// changes.
void UseWorkerScratch();

// Removes that of a process. Nothing happens where there is none.
void RemoveWorkerScratch(pid_t pid);

}  // namespace tandem
