// The requests of a chaos run: each has bytes of its own, so that a reply that belongs to another
// one, or was written over, is seen. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "inference.pb.h"

namespace tandem::client {

// The models of a chaos run. All echo; those of the faults do it but for poisoned requests.
inline constexpr char kEchoModel[] = "chaos_echo";
inline constexpr char kHangModel[] = "chaos_hang";
inline constexpr char kGarbageModel[] = "chaos_garbage";
inline constexpr char kPoisonModel[] = "chaos_poison";

inline constexpr int kEchoBytes = 64;

struct EchoRequest {
  // Differs from run to run, so that nothing of an earlier run fits.
  uint64_t salt = 0;
  uint64_t number = 0;
  std::string model = kEchoModel;
  // It starts with what has the models of the faults misbehave.
  bool poisoned = false;
};

// The model that the load's request goes to: mostly the one without faults.
const char* ModelOfNumber(uint64_t number);

inference::ModelInferRequest MakeMessage(const EchoRequest& request);

// Whether it is the reply to this request, in all that a reply holds.
bool IsReplyTo(const EchoRequest& request, const inference::ModelInferResponse& reply);

// The text of the messages' `id`. False: it is no number.
bool NumberOfId(absl::string_view id, uint64_t* number);

}  // namespace tandem::client
