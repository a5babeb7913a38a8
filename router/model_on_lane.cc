#include "router/model_on_lane.h"

namespace tandem {
namespace {

using State = ModelOnLane;
using Event = ModelEvent;

constexpr Transition<ModelOnLane, ModelEvent> kTransitions[] = {
    {State::kLoading, Event::kLoaded, State::kReady},
    {State::kLoading, Event::kLoadFailed, State::kFailed},
    {State::kLoading, Event::kLoadPutOff, State::kWaiting},
    {State::kWaiting, Event::kLoadBegun, State::kLoading},
    {State::kWaiting, Event::kLoaded, State::kReady},
    {State::kWaiting, Event::kLoadFailed, State::kFailed},
    {State::kWaiting, Event::kLaneDown, State::kLoading},
    {State::kReady, Event::kLaneDown, State::kLoading},
    {State::kFailed, Event::kLaneDown, State::kLoading},
    // After a death in its load that may have had another reason.
    {State::kFailed, Event::kLoaded, State::kReady},
};

}  // namespace

const char* Name(ModelOnLane state) {
  switch (state) {
    case State::kLoading:
      return "loading";
    case State::kWaiting:
      return "waiting";
    case State::kReady:
      return "ready";
    case State::kFailed:
      return "failed";
  }
  return "";
}

const char* Name(ModelEvent event) {
  switch (event) {
    case Event::kLoadPutOff:
      return "put off";
    case Event::kLoadBegun:
      return "load begun";
    case Event::kLoaded:
      return "loaded";
    case Event::kLoadFailed:
      return "load failed";
    case Event::kLaneDown:
      return "lane down";
  }
  return "";
}

absl::Span<const Transition<ModelOnLane, ModelEvent>> ModelTransitions() { return kTransitions; }

}  // namespace tandem
