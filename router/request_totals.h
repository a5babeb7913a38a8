// What became of a version's requests since the server knows it: how many, and their summed times.
// Thread-safe; who reads sees each figure for itself, perhaps one of a request and not yet another.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "router/catalog.h"

namespace tandem {

class RequestTotals {
 public:
  // An answer. `time`: since its arrival; `rows`: of its batch those that were the request's.
  void Note(const absl::Status& status, Duration time, int64_t rows, const Placement& placement) {
    Add(requests_, 1);
    if (!status.ok()) {
      Add(failures_, 1);
      Add(failed_ns_, time.count());
      return;
    }
    Add(rows_, rows);
    Add(succeeded_ns_, time.count());
    Add(queued_ns_, placement.queue_time.count());
    Add(computed_ns_, placement.compute_time.count());
  }
  // A batch that ran, well or not.
  void NoteBatch() { Add(batches_, 1); }

  ModelTotals Read() const {
    ModelTotals totals;
    totals.requests = static_cast<uint64_t>(Of(requests_));
    totals.failures = static_cast<uint64_t>(Of(failures_));
    totals.rows = static_cast<uint64_t>(Of(rows_));
    totals.batches = static_cast<uint64_t>(Of(batches_));
    totals.succeeded = Duration(Of(succeeded_ns_));
    totals.failed = Duration(Of(failed_ns_));
    totals.queued = Duration(Of(queued_ns_));
    totals.computed = Duration(Of(computed_ns_));
    return totals;
  }

 private:
  using Sum = std::atomic<int64_t>;

  static void Add(Sum& sum, int64_t value) { sum.fetch_add(value, std::memory_order_relaxed); }
  static int64_t Of(const Sum& sum) { return sum.load(std::memory_order_relaxed); }

  Sum requests_{0};
  Sum failures_{0};
  Sum rows_{0};
  Sum batches_{0};
  Sum succeeded_ns_{0};
  Sum failed_ns_{0};
  Sum queued_ns_{0};
  Sum computed_ns_{0};
};

}  // namespace tandem
