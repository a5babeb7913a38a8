// How willingly a thread gives way to others that want its core (setpriority(2)): 0 as everybody,
// 19 to everybody. Threads inherit it from the one that starts them.
#pragma once

#include <cstdint>

namespace tandem::worker {

inline constexpr uint32_t kNicest = 19;

// Of the calling thread, where it is less nice than that. Anybody may be nicer than before; the way
// back takes a privilege.
void MakeThreadNice(uint32_t nice);

// The same for a thread that computes for long at a time, which is interrupted as soon as another
// one wakes: its slices of a core are longer than others' (sched_setattr(2)), and Linux from 6.12
// on does not let a slice end first where the one that wakes has a shorter one. Elsewhere it is
// nice alone.
void MakeThreadGiveWay(uint32_t nice);

// Whether the calling thread does, and the kernel knows of slices. What it computes shall call
// sched_yield(2) now and then, since the kernel looks by itself at ticks alone (4 ms) whether a
// thread that woke before is to go on.
bool ThreadGivesWay();

}  // namespace tandem::worker
