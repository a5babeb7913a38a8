// Tandem's own scheduler (router/scheduler.h), run through a trace in virtual time. What stands in
// for the server here is only what the scheduler is told: that batches ended, and what time it is.
#pragma once

#include "simulation/outcome.h"

namespace tandem::simulation {

Outcome SimulateRouter(const Scenario& scenario, const ArrivalTrace& trace);

}  // namespace tandem::simulation
