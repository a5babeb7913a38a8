// Which pool takes which of the requests of a model that wait. Pure: a snapshot in, a decision out.
//
// The aim is the earliest answer, not the busiest machine. A pool with a lane to spare takes so
// many requests that, while it runs them, the others would not get through all the rest; where that
// is not true of even one, it takes none. So a slow pool stays idle while the line is short, and
// helps when it is long. It takes the most urgent ones: to count the line's head as the others'
// work would, with two pools that each count on the other, leave it to nobody. With two servers of
// unequal speed this is the threshold policy that is optimal (W. Lin and P. R. Kumar, "Optimal
// control of a queueing system with two heterogeneous servers", 1984); here the threshold comes out
// of the predicted times.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "core/clock.h"
#include "router/cost_model.h"

namespace tandem {

// One pool that can run the model, as it looks now.
struct PoolOutlook {
  // What it knows of the model; it may be too little to predict from. Not null.
  const CostModel* cost = nullptr;
  // It runs the model at present.
  bool trying = false;
  // Most rows of one batch.
  int64_t full_rows = 1;
  // When each lane that may run the model is predicted to be free. Times that have passed mean now.
  absl::InlinedVector<TimePoint, 8> lanes_free_at;
};

// What a pool takes of the requests that do not ask for it.
struct Share {
  // It leaves all of them to the others.
  bool none = false;
  // Most rows of its batch, with those that ask for it.
  int64_t rows = 0;
};

// What `self` takes of `waiting` rows if it starts a batch at `start`. `one` is the least that a
// batch can have, the rows of the first request. A pool whose speed is not known takes one batch at
// a time, to learn. Of idle pools at least one takes some.
Share ShareOf(TimePoint start, int64_t waiting, int64_t one, const PoolOutlook& self,
              absl::Span<const PoolOutlook> others);

// Rows that the pool would have done by then, at full batches, from when its lanes are free. They
// come in requests of `one` row each, or of more, of which a lane does the whole.
int64_t RowsDoneBy(TimePoint now, TimePoint then, const PoolOutlook& pool, int64_t one = 1);

// When the pools would have done so many rows; kNever where no pool's speed is known.
TimePoint DoneAt(TimePoint now, int64_t rows, absl::Span<const PoolOutlook> pools);

}  // namespace tandem
