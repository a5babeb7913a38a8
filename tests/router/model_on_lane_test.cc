#include "router/model_on_lane.h"

#include "tests/support/catch.h"
#include "tests/support/state_diagram.h"

namespace tandem {
namespace {

constexpr ModelOnLane kStates[] = {ModelOnLane::kLoading, ModelOnLane::kWaiting,
                                   ModelOnLane::kReady, ModelOnLane::kFailed};

TEST_CASE("A model whose lane goes down is loaded anew, whatever it was", "[models]") {
  for (const ModelOnLane state : kStates) {
    CHECK(Next(ModelTransitions(), state, ModelEvent::kLaneDown) == ModelOnLane::kLoading);
  }
}

TEST_CASE("A model that is loaded is ready, whatever was before", "[models]") {
  for (const ModelOnLane state : kStates) {
    CHECK(Next(ModelTransitions(), state, ModelEvent::kLoaded) == ModelOnLane::kReady);
  }
}

TEST_CASE("A load cannot fail under a model that is ready", "[models]") {
  CHECK(Next(ModelTransitions(), ModelOnLane::kReady, ModelEvent::kLoadFailed) ==
        ModelOnLane::kReady);
  CHECK(Next(ModelTransitions(), ModelOnLane::kLoading, ModelEvent::kLoadFailed) ==
        ModelOnLane::kFailed);
}

TEST_CASE("The document draws the states of a model on a lane as they are", "[models]") {
  const std::string diagram = StateDiagram(ModelTransitions());
  CAPTURE(diagram);
  CHECK(FaultsDocument().find(diagram) != std::string::npos);
}

}  // namespace
}  // namespace tandem
