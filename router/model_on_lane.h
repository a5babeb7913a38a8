// The states of a model version on one lane, and what leads from one to the other. Pure.
#pragma once

#include "core/transitions.h"

namespace tandem {

enum class ModelOnLane {
  kLoading,
  // Another worker of the pool is to load it first.
  kWaiting,
  kReady,
  kFailed
};

enum class ModelEvent {
  kLoadPutOff,
  kLoadBegun,
  kLoaded,
  // The worker could not load it, or died of it.
  kLoadFailed,
  // The lane's worker has gone; its next one loads the model anew.
  kLaneDown,
};

// "loading", "lane down", …
const char* Name(ModelOnLane state);
const char* Name(ModelEvent event);

absl::Span<const Transition<ModelOnLane, ModelEvent>> ModelTransitions();

}  // namespace tandem
