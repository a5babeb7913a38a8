// What a pool knows of its models' loads, over all of its workers: what no worker has loaded yet
// may end whoever does, so one worker tries it, and the others load it once it has loaded there.
// One such trial goes on in a pool at a time, and none begins while a worker is away. So no model
// takes all workers along. One that has gone on for long keeps the others back no more: it may
// never end. Pure; used by the pool's supervisor thread.
//
// A worker that dies while it loads a model may have died of another one's run. So the model that
// is blamed stays with that worker, which loads it first in its next life, before any other can
// run: if the worker dies again, it is the one, and the whole pool leaves it out. A signal from
// outside says less: the kernel's memory killer sends one for what the model does, but so may
// anybody, while whatever model loads. So that model is loaded after the others from then on, which
// then come back in any case, and it takes a long row of signals to leave it out.
//
// Memory adds up: a worker has more than its pool allows with the model that it loaded last, which
// by itself would do no harm. So such a model is the last that the worker loads in its next life,
// and if it is too much again, the pool leaves it out.
//
// A load that went on beyond its limit of time has cost enough: such a model is left out at once,
// and for good.
//
// Who else is left out gets another chance when a worker starts again for some other reason, after
// a minute at first, then twice as late each time: it may have been blamed for what came from
// outside.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/clock.h"

namespace tandem {

// How a worker ended that loaded a model.
enum class LoadDeath {
  // By itself, or it was killed for what it did.
  kCrash,
  // By a signal from outside.
  kSignal,
  // It was killed since it had more memory than its pool allows.
  kMemory,
  // It was killed since the load went on beyond its limit of time.
  kTooLong,
};

class LoadTrials {
 public:
  // Those for memory among them.
  static constexpr int kMostCrashes = 2;
  static constexpr int kMostSignals = 10;
  static constexpr Duration kFirstChance = std::chrono::minutes(1);
  // After that many chances the time between them grows no more.
  static constexpr int kMostDoublings = 6;

  // Each worker tells of each model; the first counts.
  void Add(uint32_t model) { records_.try_emplace(model); }
  void Remove(uint32_t model);

  // Whether the worker may load the model now. Then a trial, if it is to be one, has begun, and
  // stays with the worker until the load ends without a death or the model is left out.
  bool MayLoad(uint32_t worker, uint32_t model);
  // The worker loads what has a lower rank first: what is blamed for a crash before any other can
  // run, and what was loaded at signals from outside, or was too much for the memory, after the
  // others.
  int Rank(uint32_t worker, uint32_t model) const;
  bool IsLeftOut(uint32_t model) const;

  // The load of the model goes on for long.
  void OnSlow(uint32_t model);
  // A load has ended without a death, well or not.
  void Survived(uint32_t model);
  // The worker has died while it loaded the model. `why`: what is to be told of it where the model
  // is left out for this death.
  void Died(uint32_t worker, uint32_t model, TimePoint now, LoadDeath death, std::string why = "");
  // Of a model that is left out.
  std::string WhyLeftOut(uint32_t model) const;
  // A worker starts again; see above.
  void GiveChances(TimePoint now);

  // The worker has died, or is back: it holds what it may hold at present, or nothing can be said
  // of when it will.
  void SetAway(uint32_t worker, bool away);

  // Since it was last asked, a worker may have come to be allowed, or forbidden, a load.
  bool TakeChange() { return std::exchange(changed_, false); }

 private:
  struct Record {
    // Some worker has loaded it.
    bool survived = false;
    // In a row.
    int crashes = 0;
    int signals = 0;
    // One of the crashes was for memory.
    bool was_too_much = false;
    bool took_too_long = false;
    // Of the last death.
    std::string why;
    int chances = 0;
    TimePoint left_out_since{};
    // Whose trial it is.
    std::optional<uint32_t> trier;
    // The trial goes on for long.
    bool is_slow = false;

    bool left_out() const {
      return took_too_long || crashes >= kMostCrashes || signals >= kMostSignals;
    }
    bool needs_trial() const { return !survived || crashes > 0; }
  };
  const Record* Find(uint32_t model) const;
  Record* Find(uint32_t model);

  std::map<uint32_t, Record> records_;
  std::set<uint32_t> away_;
  bool changed_ = false;
};

}  // namespace tandem
