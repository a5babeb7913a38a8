// Draws an experiment: goodput and p99 over load, a line for each policy. Pure.
#pragma once

#include <string>

#include "simulation/experiment.h"

namespace tandem::simulation {

// An SVG document.
std::string PlotSvg(const Experiment& experiment);

}  // namespace tandem::simulation
