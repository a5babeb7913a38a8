#include "server/unsent_answers.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/reply_writer.h"

namespace tandem::server {
namespace {

using Place = std::shared_ptr<const void>;

// Of all tensors; 0 where ReplyWriter copies each of them.
size_t CountedBytes(const InferResponse& response) {
  size_t bytes = 0;
  size_t largest = 0;
  for (const Tensor& output : response.outputs) {
    const size_t size = output.byte_size();
    bytes += size;
    largest = std::max(largest, size);
  }
  return largest > ReplyWriter::kCopyUpTo ? bytes : 0;
}

}  // namespace

// Who keeps what. Thread-safe.
class UnsentAnswers::Ledger {
 public:
  explicit Ledger(const UnsentLimits& limits) : limits_(limits) {}

  // False where it is too much. A place of many answers, those of a batch, counts once for each
  // client, and once in all.
  bool TryKeep(uint64_t client, const Place& place, uint64_t bytes) {
    bytes = std::max(bytes, limits_.least_place);
    const absl::MutexLock lock(&mutex_);
    const auto known = places_.find(place);
    const bool is_new = known == places_.end();
    const bool is_new_to_client = is_new || !known->second.answers.contains(client);
    const uint64_t kept = KeptBy(client);
    if (is_new_to_client && kept > 0 && kept + bytes > limits_.kept_of_client) return false;
    if (is_new && kept_ > 0 && kept_ + bytes > limits_.kept) return false;
    Use& use = is_new ? places_[place] : known->second;
    if (is_new) {
      use.bytes = bytes;
      kept_ += bytes;
    }
    if (is_new_to_client) clients_[client].kept += use.bytes;
    ++use.answers[client];
    return true;
  }

  void EndKeep(uint64_t client, const Place& place) {
    const absl::MutexLock lock(&mutex_);
    const auto use = places_.find(place);
    const auto answers = use->second.answers.find(client);
    if (--answers->second > 0) return;
    use->second.answers.erase(answers);
    const auto entry = clients_.find(client);
    entry->second.kept -= use->second.bytes;
    ForgetIfEmpty(entry);
    if (!use->second.answers.empty()) return;
    kept_ -= use->second.bytes;
    places_.erase(use);
  }

  absl::Status TryCopy(uint64_t client, uint64_t bytes) {
    const absl::MutexLock lock(&mutex_);
    const auto entry = clients_.find(client);
    const Client has = entry == clients_.end() ? Client{} : entry->second;
    if (has.copied > 0 && has.copied + bytes > limits_.copied_of_client) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the answer has ", bytes, " bytes, and ", has.kept + has.copied,
                       " bytes of answers are unread on this connection; read them first"));
    }
    const bool has_none = has.kept + has.copied == 0;
    const uint64_t limit = has_none ? 2 * limits_.copied : limits_.copied;
    if (copied_ > 0 && copied_ + bytes > limit) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the answer has ", bytes, " bytes, and ", kept_ + copied_,
                       " bytes of answers are unread on all connections, ", has.kept + has.copied,
                       " of them on this one; ", has_none ? "try again later" : "read them first"));
    }
    clients_[client].copied += bytes;
    copied_ += bytes;
    return absl::OkStatus();
  }

  void EndCopy(uint64_t client, uint64_t bytes) {
    const absl::MutexLock lock(&mutex_);
    const auto entry = clients_.find(client);
    entry->second.copied -= bytes;
    copied_ -= bytes;
    ForgetIfEmpty(entry);
  }

 private:
  struct Client {
    uint64_t kept = 0;
    uint64_t copied = 0;
  };
  using Clients = std::unordered_map<uint64_t, Client>;

  // A place in an arena, and how many answers of which clients keep it.
  struct Use {
    uint64_t bytes = 0;
    std::unordered_map<uint64_t, size_t> answers;
  };

  uint64_t KeptBy(uint64_t client) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto entry = clients_.find(client);
    return entry == clients_.end() ? 0 : entry->second.kept;
  }

  void ForgetIfEmpty(Clients::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entry->second.kept == 0 && entry->second.copied == 0) clients_.erase(entry);
  }

  const UnsentLimits limits_;
  absl::Mutex mutex_;
  Clients clients_ ABSL_GUARDED_BY(mutex_);
  // By who owns it: the pointers of several may be equal.
  std::map<std::weak_ptr<const void>, Use, std::owner_less<>> places_ ABSL_GUARDED_BY(mutex_);
  uint64_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t copied_ ABSL_GUARDED_BY(mutex_) = 0;
};

// An answer in its arena, counted while this is there.
class UnsentAnswers::Kept {
 public:
  Kept(std::shared_ptr<Ledger> ledger, uint64_t client, Place place)
      : ledger_(std::move(ledger)), client_(client), place_(std::move(place)) {}
  ~Kept() { ledger_->EndKeep(client_, place_); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 private:
  const std::shared_ptr<Ledger> ledger_;
  const uint64_t client_;
  const Place place_;
};

// The same of one that is elsewhere.
class UnsentAnswers::Copied {
 public:
  Copied(std::shared_ptr<Ledger> ledger, uint64_t client, uint64_t bytes,
         std::shared_ptr<const void> owner)
      : ledger_(std::move(ledger)), client_(client), bytes_(bytes), owner_(std::move(owner)) {}
  ~Copied() { ledger_->EndCopy(client_, bytes_); }
  Copied(const Copied&) = delete;
  Copied& operator=(const Copied&) = delete;

 private:
  const std::shared_ptr<Ledger> ledger_;
  const uint64_t client_;
  const uint64_t bytes_;
  const std::shared_ptr<const void> owner_;
};

UnsentAnswers::UnsentAnswers(const UnsentLimits& limits)
    : ledger_(std::make_shared<Ledger>(limits)) {}

UnsentAnswers::~UnsentAnswers() = default;

absl::Status UnsentAnswers::Admit(uint64_t client, InferResponse* response) {
  const size_t bytes = CountedBytes(*response);
  if (bytes == 0) return absl::OkStatus();
  if (ledger_->TryKeep(client, response->keep_alive,
                       std::max<uint64_t>(bytes, response->kept_bytes))) {
    response->keep_alive =
        std::make_shared<const Kept>(ledger_, client, std::move(response->keep_alive));
    return absl::OkStatus();
  }
  if (const absl::Status copied = ledger_->TryCopy(client, bytes); !copied.ok()) {
    return absl::Status(copied.code(),
                        absl::StrCat("model '", response->model, "': ", copied.message()));
  }
  const auto copy = std::make_shared_for_overwrite<std::byte[]>(bytes);
  const Place place = std::exchange(response->keep_alive,
                                    std::make_shared<const Copied>(ledger_, client, bytes, copy));
  std::byte* to = copy.get();
  for (Tensor& output : response->outputs) {
    const size_t size = output.byte_size();
    CopyBytes(output, to);
    output.pieces.assign(1, Bytes(to, size));
    to += size;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const void>> UnsentAnswers::AdmitCopy(
    uint64_t client, size_t bytes, std::shared_ptr<const void> owner) {
  if (bytes <= ReplyWriter::kCopyUpTo) return owner;
  if (const absl::Status copied = ledger_->TryCopy(client, bytes); !copied.ok()) return copied;
  return std::make_shared<const Copied>(ledger_, client, bytes, std::move(owner));
}

}  // namespace tandem::server
