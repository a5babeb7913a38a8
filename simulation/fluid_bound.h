// The most that any scheduler could answer in time. Pure.
#pragma once

#include "simulation/arrival_trace.h"

namespace tandem::simulation {

// How many requests of the trace a fluid server of `rate` rows a second finishes before their
// deadlines: it divides its rate at will, wastes nothing while one waits, and serves the earliest
// deadline first. A request that is partly served in time counts by its part, so this is an upper
// bound. Bursts and gaps in the trace bound it as well as the rate.
double FluidBound(const ArrivalTrace& trace, double rate);

}  // namespace tandem::simulation
