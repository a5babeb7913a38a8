// The seam between the data-set job and the server.
#pragma once

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/dataset/dataset_reader.h"
#include "client/reply.h"

namespace tandem::client {

class Predictor {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<PredictReply>) &&>;

  virtual ~Predictor() = default;

  // One call for rows of which any two can join. Does not block. `done` is called once, on any
  // thread, perhaps before Predict returns; `rows` stay until then. UNAVAILABLE: nobody answered,
  // the call may be made again.
  virtual void Predict(absl::Span<const Row> rows, Callback done) = 0;

  // True if both rows may go into one call.
  virtual bool CanJoin(const Row& first, const Row& second) const = 0;
};

}  // namespace tandem::client
