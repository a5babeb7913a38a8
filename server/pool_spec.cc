#include "server/pool_spec.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace tandem::server {
namespace {

constexpr uint32_t kMostProcesses = 64;
// With the express lanes no more than a worker has.
constexpr uint32_t kMostLanes = 240;
constexpr uint32_t kMostThreads = 1024;
constexpr int kMostCores = 4096;
constexpr uint32_t kWholeShare = 100;
constexpr uint64_t kSmallestArena = uint64_t{1} << 20;
constexpr uint64_t kLargestArena = uint64_t{1} << 40;

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ParseCount(absl::string_view key, absl::string_view value, uint32_t most,
                        uint32_t* to) {
  if (!absl::SimpleAtoi(value, to) || *to < 1 || *to > most) {
    return Invalid(key, ":", value, ": expected a number from 1 to ", most);
  }
  return absl::OkStatus();
}

// A number that may be 0.
absl::Status ParseOrNone(absl::string_view key, absl::string_view value, uint32_t most,
                         std::optional<uint32_t>* to) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number > most) {
    return Invalid(key, ":", value, ": expected a number from 0 to ", most);
  }
  *to = number;
  return absl::OkStatus();
}

absl::Status ParseMemory(absl::string_view key, absl::string_view value, uint64_t* to) {
  const absl::StatusOr<uint64_t> size = ParseSize(value);
  if (!size.ok() || *size < kSmallestArena || *size > kLargestArena) {
    return Invalid(key, ":", value, ": expected a size from 1MiB to 1TiB, such as 256MiB");
  }
  *to = *size;
  return absl::OkStatus();
}

absl::Status ParseField(absl::string_view key, absl::string_view value, PoolSpecFields* fields) {
  if (key == "device") {
    fields->device = std::string(value);
  } else if (key == "serves") {
    fields->serves = std::string(value);
  } else if (key == "cores") {
    fields->cores = absl::StrCat(fields->cores, fields->cores.empty() ? "" : ",", value);
  } else if (key == "processes") {
    return ParseCount(key, value, kMostProcesses, &fields->processes);
  } else if (key == "lanes") {
    return ParseCount(key, value, kMostLanes, &fields->lanes);
  } else if (key == "threads") {
    return ParseCount(key, value, kMostThreads, &fields->threads);
  } else if (key == "input_arena") {
    return ParseMemory(key, value, &fields->input_arena_bytes);
  } else if (key == "output_arena") {
    return ParseMemory(key, value, &fields->output_arena_bytes);
  } else if (key == "memory") {
    return ParseMemory(key, value, &fields->memory_bytes);
  } else if (key == "device_memory") {
    return ParseMemory(key, value, &fields->device_memory_bytes);
  } else if (key == "cpu_share") {
    return ParseCount(key, value, kWholeShare, &fields->cpu_share);
  } else if (key == "nice") {
    return ParseOrNone(key, value, kMostNice, &fields->nice);
  } else if (key == "express") {
    return ParseOrNone(key, value, kMostExpress, &fields->express);
  } else {
    return Invalid("unknown key '", key,
                   "'; expected device, serves, processes, lanes, express, threads, cores, "
                   "input_arena, output_arena, memory, device_memory, nice or cpu_share");
  }
  return absl::OkStatus();
}

absl::Status CheckDevice(absl::string_view device, bool* is_gpu) {
  *is_gpu = false;
  if (device == "cpu") return absl::OkStatus();
  int number = 0;
  *is_gpu =
      absl::ConsumePrefix(&device, "gpu:") && absl::SimpleAtoi(device, &number) && number >= 0;
  return *is_gpu ? absl::OkStatus() : absl::InvalidArgumentError("");
}

absl::Status CheckRange(absl::string_view key, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Invalid(key, ":", value, ": expected a number from ", least, " to ", most);
}

absl::Status CheckCores(const PoolSpec& spec, const Machine& machine) {
  for (const int core : spec.cores) {
    if (std::find(machine.cores.begin(), machine.cores.end(), core) == machine.cores.end()) {
      return Invalid("cores: core ", core, " is not there for this process; it may use ",
                     machine.cores.size(), " cores from ", machine.cores.front(), " to ",
                     machine.cores.back());
    }
  }
  return absl::OkStatus();
}

// Arenas hold only what is written to them, but what is more than there is can never be held.
absl::Status CheckArenas(const PoolSpec& spec, const Machine& machine) {
  // Both are at most kLargestArena, so this cannot overflow.
  const uint64_t all = spec.processes * (spec.input_arena_bytes + spec.output_arena_bytes);
  if (machine.memory_bytes == 0 || all <= machine.memory_bytes) return absl::OkStatus();
  return Invalid("input_arena, output_arena: with processes:", spec.processes, " they take ",
                 all >> 20, " MiB in all, but the machine has ", machine.memory_bytes >> 20,
                 " MiB of memory");
}

}  // namespace

PoolKinds KindsOf(const std::vector<PoolSpec>& pools) {
  PoolKinds kinds{false, false};
  for (const PoolSpec& pool : pools) {
    (pool.serves == PoolKind::kCpu ? kinds.cpu : kinds.gpu) = true;
  }
  return kinds;
}

std::vector<PoolSpec> DefaultPools(const Machine& machine) {
  std::vector<PoolSpec> pools;
  PoolSpec cpu;
  cpu.name = "cpu";
  cpu.lanes = std::clamp<uint32_t>(static_cast<uint32_t>(machine.cores.size()), 1, kMostLanes);
  cpu.express = kCpuExpress;
  cpu.nice = kCpuNice;
  pools.push_back(cpu);
  for (const int gpu : machine.gpus) {
    PoolSpec spec;
    spec.name = absl::StrCat("gpu", gpu);
    spec.device = absl::StrCat("gpu:", gpu);
    spec.serves = PoolKind::kGpu;
    spec.lanes = 2;
    pools.push_back(spec);
  }
  return pools;
}

absl::StatusOr<PoolSpecFields> ParsePoolFields(absl::string_view text) {
  PoolSpecFields fields;
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  fields.name = std::string(halves.first);
  absl::string_view key;
  std::set<absl::string_view> given;
  for (const absl::string_view part : absl::StrSplit(halves.second, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits(':', 1));
    // "cores:0-1,4": a part without a key goes on with the last one.
    const bool goes_on = key == "cores" && !absl::StrContains(part, ':');
    if (!goes_on) {
      key = pair.first;
      if (!given.insert(key).second) return Invalid(key, ": it is given twice");
      if (pair.second.empty()) return Invalid(key, ": its value is missing");
    }
    const absl::Status parsed = ParseField(key, goes_on ? part : pair.second, &fields);
    if (!parsed.ok()) return parsed;
  }
  return fields;
}

absl::StatusOr<PoolSpec> MakePoolSpec(const PoolSpecFields& fields, const Machine& machine) {
  PoolSpec spec;
  if (!IsValidName(fields.name)) {
    return Invalid("pool name '", fields.name,
                   "': expected letters, digits, '_', '.' and '-', as in --pool=NAME=device:cpu");
  }
  spec.name = fields.name;
  if (!fields.device.empty()) spec.device = fields.device;
  bool is_gpu = false;
  if (!CheckDevice(spec.device, &is_gpu).ok()) {
    return Invalid("device:", spec.device, ": expected cpu or gpu:NUMBER, as in gpu:0");
  }
  const std::string serves = fields.serves.empty() ? (is_gpu ? "gpu" : "cpu") : fields.serves;
  if (serves != "cpu" && serves != "gpu") {
    return Invalid("serves:", serves, ": expected cpu or gpu");
  }
  spec.serves = serves == "gpu" ? PoolKind::kGpu : PoolKind::kCpu;
  if (!fields.cores.empty()) {
    absl::StatusOr<std::vector<int>> cores = ParseCores(fields.cores);
    if (!cores.ok()) return cores.status();
    spec.cores = *std::move(cores);
    const absl::Status checked = CheckCores(spec, machine);
    if (!checked.ok()) return checked;
  }
  const size_t core_count = spec.cores.empty() ? machine.cores.size() : spec.cores.size();
  if (fields.processes != 0) spec.processes = fields.processes;
  if (fields.threads != 0) spec.threads = fields.threads;
  const auto cpu_lanes = static_cast<uint32_t>(
      std::max<size_t>(1, core_count / (size_t{spec.processes} * spec.threads)));
  spec.lanes = fields.lanes != 0 ? fields.lanes : (is_gpu ? 2 : std::min(cpu_lanes, kMostLanes));
  if (fields.input_arena_bytes != 0) spec.input_arena_bytes = fields.input_arena_bytes;
  if (fields.output_arena_bytes != 0) spec.output_arena_bytes = fields.output_arena_bytes;
  spec.memory_bytes = fields.memory_bytes;
  spec.device_memory_bytes = fields.device_memory_bytes;
  if (spec.device_memory_bytes != 0 && !is_gpu) {
    return Invalid("device_memory: it is for pools on a GPU, and the device is ", spec.device,
                   "; memory: limits what a process takes of the machine's");
  }
  if (fields.cpu_share != 0) spec.cpu_share = fields.cpu_share;
  spec.express = fields.express.value_or(is_gpu ? 0 : kCpuExpress);
  spec.nice = fields.nice.value_or(is_gpu ? 0 : kCpuNice);
  for (const absl::Status& checked :
       {CheckRange("processes", spec.processes, 1, kMostProcesses),
        CheckRange("lanes", spec.lanes, 1, kMostLanes),
        CheckRange("express", spec.express, 0, kMostExpress),
        CheckRange("threads", spec.threads, 1, kMostThreads),
        CheckRange("cpu_share", spec.cpu_share, 1, kWholeShare),
        CheckRange("nice", spec.nice, 0, kMostNice),
        CheckRange("input_arena", spec.input_arena_bytes, kSmallestArena, kLargestArena),
        CheckRange("output_arena", spec.output_arena_bytes, kSmallestArena, kLargestArena),
        spec.memory_bytes == 0
            ? absl::OkStatus()
            : CheckRange("memory", spec.memory_bytes, kSmallestArena, kLargestArena),
        spec.device_memory_bytes == 0 ? absl::OkStatus()
                                      : CheckRange("device_memory", spec.device_memory_bytes,
                                                   kSmallestArena, kLargestArena)}) {
    if (!checked.ok()) return checked;
  }
  if (const absl::Status checked = CheckArenas(spec, machine); !checked.ok()) return checked;
  return spec;
}

absl::StatusOr<std::vector<int>> ParseCores(absl::string_view text) {
  std::vector<int> cores;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    int first = 0;
    int last = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) ||
        !absl::SimpleAtoi(ends.back(), &last) || first < 0 || last < first || last >= kMostCores) {
      return Invalid("cores:", text, ": expected a list such as 0-3,8");
    }
    for (int core = first; core <= last; ++core) cores.push_back(core);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores;
}

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  struct Unit {
    absl::string_view suffix;
    int shift;
  };
  absl::string_view digits = text;
  int shift = 0;
  for (const Unit unit : {Unit{"KiB", 10}, Unit{"MiB", 20}, Unit{"GiB", 30}, Unit{"TiB", 40}}) {
    if (absl::ConsumeSuffix(&digits, unit.suffix)) {
      shift = unit.shift;
      break;
    }
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(digits, &number) ||
      number > (std::numeric_limits<uint64_t>::max() >> shift)) {
    return Invalid("'", text, "' is no size; expected bytes, or a number with KiB, MiB or GiB");
  }
  return number << shift;
}

bool IsValidName(absl::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.size() > 255) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

}  // namespace tandem::server
