// Which pool takes the next batch of a model that several pools hold. Pure: a snapshot in, a number
// out.
//
// The aim is the earliest answer, not the busiest machine. A pool takes a request at once unless
// pools that run the model faster would finish it sooner, all that waits before it included. So a
// slow pool stays idle while the line is short, and helps with its far end when it is long.
#pragma once

#include <cstdint>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "core/clock.h"

namespace tandem {

// One pool that can run the model, as it looks now.
struct PoolOutlook {
  // False until it has run the model often enough to predict; the durations are then meaningless.
  bool known = false;
  // It runs the model at present.
  bool trying = false;
  // Predicted time of the batch in question, and of a full one, with their rows.
  Duration batch_time{0};
  int64_t batch_rows = 1;
  Duration full_batch_time{0};
  int64_t full_batch_rows = 1;
  // When each lane that may run the model is predicted to be free. Times that have passed mean now.
  absl::InlinedVector<TimePoint, 8> lanes_free_at;
};

inline constexpr int64_t kAllRows = std::numeric_limits<int64_t>::max();

// Rows at the head of the model's queue that `self`, with a lane to spare, leaves to `others`. 0:
// it takes the oldest request; kAllRows: it takes nothing. A pool whose speed is not known takes
// one batch at a time, to learn.
int64_t RowsToLeave(TimePoint now, const PoolOutlook& self, absl::Span<const PoolOutlook> others);

}  // namespace tandem
