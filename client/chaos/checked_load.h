// A steady load on the models of a chaos run, half of it as calls and half over streams. Every
// answer is checked. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "client/chaos/request_ledger.h"

namespace tandem::client {

struct CheckedLoadOptions {
  std::string target;
  // Requests a second, each sent when it is due, whatever is still unanswered.
  double rate = 500;
  // As in EchoRequest.
  uint64_t salt = 0;
};

class CheckedLoad {
 public:
  // Connects, and sends nothing yet.
  explicit CheckedLoad(CheckedLoadOptions options);
  // Ends the calls that are still under way, and returns when they have ended.
  ~CheckedLoad();
  CheckedLoad(const CheckedLoad&) = delete;
  CheckedLoad& operator=(const CheckedLoad&) = delete;

  void Start();
  // Requests from now on are of that phase.
  void Enter(ChaosPhase phase);
  // One request that has the model misbehave. It has an account of its own.
  void SendPoison(const std::string& model);
  // Sends no more, and waits for the answers that are due, at most so long.
  void Finish(std::chrono::nanoseconds patience);

  // Requests of the load, and those that SendPoison sent, so far.
  RequestLedger ledger() const;
  RequestLedger poison_ledger() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::client
