// Answers that clients have not read yet. Answers are sent from where the worker wrote them, its
// output arena, and a client that does not read keeps that place: so it is counted who keeps how
// much, and beyond a bound answers are copied out of the arena, or refused. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/infer_request.h"

namespace tandem::server {

// All in bytes. A client is a connection, as in InferRequest::client.
struct UnsentLimits {
  // Of output arenas that unsent answers keep, of all clients and of one. One answer is always sent
  // from the arena.
  uint64_t kept = 0;
  uint64_t kept_of_client = 0;
  // What a place in an arena counts at least, since there are only so many.
  uint64_t least_place = 0;
  // Of copies of answers, of all clients and of one. One copy is always made for a client, however
  // large, if there is room for it in all; for one that has nothing unread, twice that room.
  uint64_t copied = 0;
  uint64_t copied_of_client = 0;
};

class UnsentAnswers {
 public:
  explicit UnsentAnswers(const UnsentLimits& limits);
  ~UnsentAnswers();
  UnsentAnswers(const UnsentAnswers&) = delete;
  UnsentAnswers& operator=(const UnsentAnswers&) = delete;

  // To be called before a successful answer is made a message by ReplyWriter. Counts it for as long
  // as its keep_alive is there; where the arena's bound is reached, it becomes a copy. What
  // ReplyWriter copies anyway is not counted. RESOURCE_EXHAUSTED: the client has to read first.
  absl::Status Admit(uint64_t client, InferResponse* response);

  // Counts bytes that are in no arena, as a copy is, for as long as what is returned is there; it
  // keeps `owner`. Null where they are too few to be counted. Errors as Admit's.
  absl::StatusOr<std::shared_ptr<const void>> AdmitCopy(uint64_t client, size_t bytes,
                                                        std::shared_ptr<const void> owner);

 private:
  class Ledger;
  class Kept;
  class Copied;

  // Shared with what is counted, which gRPC may release late.
  const std::shared_ptr<Ledger> ledger_;
};

}  // namespace tandem::server
