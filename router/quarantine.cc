#include "router/quarantine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tandem {
namespace {

// Hashes bytes block by block, so that it does not matter in which pieces they come.
class BlockHash {
 public:
  explicit BlockHash(uint64_t seed) : state_(seed) {}

  void Add(Bytes bytes) {
    while (!bytes.empty()) {
      const size_t taken = std::min(bytes.size(), block_.size() - filled_);
      std::memcpy(block_.data() + filled_, bytes.data(), taken);
      filled_ += taken;
      bytes.remove_prefix(taken);
      if (filled_ == block_.size()) Mix();
    }
  }
  uint64_t Finish() {
    Mix();
    return state_;
  }

 private:
  void Mix() {
    state_ = absl::HashOf(state_, absl::string_view(block_.data(), filled_));
    filled_ = 0;
  }

  uint64_t state_;
  size_t filled_ = 0;
  std::array<char, 4096> block_;
};

}  // namespace

uint64_t FingerprintOf(const ModelVersion& model, absl::Span<const Tensor> inputs) {
  uint64_t state = absl::HashOf(model.handle);
  for (const Tensor& input : inputs) {
    state = absl::HashOf(state, input.name, static_cast<int>(input.type),
                         absl::MakeConstSpan(input.shape));
    BlockHash bytes(state);
    for (const Bytes& piece : input.pieces) bytes.Add(piece);
    state = bytes.Finish();
  }
  return state;
}

bool AreEqual(absl::Span<const Tensor> a, absl::Span<const Tensor> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.name == y.name && x.type == y.type && x.shape == y.shape && HasEqualBytes(x, y);
  });
}

void Quarantine::Add(TimePoint now, const ModelVersion& model, uint64_t fingerprint) {
  if (term_.count() <= 0) return;
  const std::lock_guard lock(mutex_);
  Forget(now);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.fingerprint == fingerprint; });
  if (entries_.size() == kMostRequests) entries_.pop_front();
  entries_.push_back({model.handle, model.config.name, model.version, fingerprint, now + term_, 0});
  CountLocked();
}

absl::Status Quarantine::Check(TimePoint now, const ModelVersion& model,
                               absl::Span<const Tensor> inputs) {
  {
    const std::lock_guard lock(mutex_);
    Forget(now);
    const bool concerned = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.handle == model.handle;
    });
    if (!concerned) return absl::OkStatus();
  }
  const uint64_t fingerprint = FingerprintOf(model, inputs);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.fingerprint == fingerprint;
  });
  if (found == entries_.end()) return absl::OkStatus();
  ++found->refused;
  const auto left = std::chrono::ceil<std::chrono::seconds>(found->until - now);
  return absl::InternalError(
      absl::StrCat("model \"", model.config.name,
                   "\": a request with these inputs ended workers; it is refused for another ",
                   left.count(), " s. Send other inputs, or ask the server's operator"));
}

std::vector<QuarantinedRequest> Quarantine::List(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  std::vector<QuarantinedRequest> listed;
  for (const Entry& entry : entries_) {
    if (entry.until <= now) continue;
    listed.push_back(
        {entry.model, entry.version, entry.fingerprint, entry.until - now, entry.refused});
  }
  return listed;
}

size_t Quarantine::Clear() {
  const std::lock_guard lock(mutex_);
  const size_t count = entries_.size();
  entries_.clear();
  CountLocked();
  return count;
}

void Quarantine::Forget(TimePoint now) {
  while (!entries_.empty() && entries_.front().until <= now) entries_.pop_front();
  CountLocked();
}

}  // namespace tandem
