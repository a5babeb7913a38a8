// How willingly a thread gives way to others that want its core (setpriority(2)): 0 as everybody,
// 19 to everybody. Threads inherit it from the one that starts them.
#pragma once

#include <cstdint>

namespace tandem::worker {

inline constexpr uint32_t kNicest = 19;

// Of the calling thread, where it is less nice than that. Anybody may be nicer than before; the way
// back takes a privilege.
void MakeThreadNice(uint32_t nice);

}  // namespace tandem::worker
