#include "server/batching_config.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

using inference::ModelDynamicBatching;
using inference::ModelQueuePolicy;

constexpr uint64_t kLongestQueueDelayUs = 60u * 1000 * 1000;
// A day.
constexpr uint64_t kLongestTimeoutUs = uint64_t{86'400} * 1000 * 1000;
constexpr uint64_t kMostLevels = 1000;

absl::Status ReadSizes(const ModelDynamicBatching& batching, const TextProtoLines& lines,
                       ModelConfig* config) {
  if (batching.max_queue_delay_microseconds() > kLongestQueueDelayUs) {
    return FieldError(lines, batching, "max_queue_delay_microseconds",
                      absl::StrCat("expected at most ", kLongestQueueDelayUs, ", got ",
                                   batching.max_queue_delay_microseconds()));
  }
  config->max_queue_delay = std::chrono::microseconds(batching.max_queue_delay_microseconds());
  for (int i = 0; i < batching.preferred_batch_size_size(); ++i) {
    const int32_t size = batching.preferred_batch_size(i);
    if (size < 1 || static_cast<uint32_t>(size) > config->max_batch_size) {
      return FieldError(lines, batching, "preferred_batch_size",
                        absl::StrCat("expected a number from 1 to max_batch_size (",
                                     config->max_batch_size, "), got ", size),
                        i);
    }
    config->preferred_batch_sizes.push_back(static_cast<uint32_t>(size));
  }
  std::sort(config->preferred_batch_sizes.begin(), config->preferred_batch_sizes.end());
  return absl::OkStatus();
}

absl::Status ReadLevels(const ModelDynamicBatching& batching, const TextProtoLines& lines,
                        ModelConfig* config) {
  const uint64_t levels = batching.priority_levels();
  const uint64_t default_level = batching.default_priority_level();
  if (levels > kMostLevels) {
    return FieldError(lines, batching, "priority_levels",
                      absl::StrCat("expected at most ", kMostLevels, ", got ", levels));
  }
  if (levels == 0 && default_level != 0) {
    return FieldError(
        lines, batching, "default_priority_level",
        absl::StrCat("it is ", default_level, ", but priority_levels is 0; set that too"));
  }
  if (levels > 0 && default_level == 0) {
    return FieldError(lines, batching, "priority_levels",
                      absl::StrCat("it is ", levels,
                                   ", but default_priority_level is 0; set that "
                                   "too, to a number from 1 to ",
                                   levels));
  }
  if (levels > 0 && default_level > levels) {
    return FieldError(lines, batching, "default_priority_level",
                      absl::StrCat("expected a number from 1 to priority_levels (", levels,
                                   "), got ", default_level));
  }
  if (levels > 1 && batching.preserve_ordering()) {
    return FieldError(lines, batching, "preserve_ordering",
                      absl::StrCat("answers cannot keep the order of the requests where ", levels,
                                   " priority_levels overtake each other; leave one of them out"));
  }
  config->preserve_ordering = batching.preserve_ordering();
  config->priority_levels = static_cast<uint32_t>(levels);
  config->default_priority_level = static_cast<uint32_t>(default_level);
  return absl::OkStatus();
}

absl::Status ReadPolicy(const ModelQueuePolicy& message, const TextProtoLines& lines,
                        bool preserve_ordering, QueuePolicy* policy) {
  if (message.default_timeout_microseconds() > kLongestTimeoutUs) {
    return FieldError(lines, message, "default_timeout_microseconds",
                      absl::StrCat("expected at most ", kLongestTimeoutUs, ", got ",
                                   message.default_timeout_microseconds()));
  }
  policy->default_timeout = std::chrono::microseconds(message.default_timeout_microseconds());
  if (!ModelQueuePolicy::TimeoutAction_IsValid(message.timeout_action())) {
    return FieldError(
        lines, message, "timeout_action",
        absl::StrCat("expected REJECT or DELAY, got ", static_cast<int>(message.timeout_action())));
  }
  policy->delay_on_timeout = message.timeout_action() == ModelQueuePolicy::DELAY;
  policy->max_queue_size = message.max_queue_size();
  if (policy->delay_on_timeout && preserve_ordering) {
    return FieldError(lines, message, "timeout_action",
                      "DELAY lets others overtake, but preserve_ordering is set; expected REJECT");
  }
  return absl::OkStatus();
}

absl::Status ReadPolicies(const ModelDynamicBatching& batching, const TextProtoLines& lines,
                          ModelConfig* config) {
  absl::Status status =
      ReadPolicy(batching.default_queue_policy(), lines.Nested(batching, "default_queue_policy"),
                 config->preserve_ordering, &config->queue_policy);
  if (!status.ok()) return status;
  for (const auto& [level, message] : batching.priority_queue_policy()) {
    if (level < 1 || level > config->priority_levels) {
      return FieldError(lines, batching, "priority_queue_policy",
                        absl::StrCat("there is no level ", level, "; priority_levels is ",
                                     config->priority_levels));
    }
    // A map's entries have no lines of their own.
    const absl::Status read = ReadPolicy(message, TextProtoLines(), config->preserve_ordering,
                                         &config->level_policies[static_cast<uint32_t>(level)]);
    if (!read.ok()) {
      return FieldError(lines, batching, "priority_queue_policy",
                        absl::StrCat("level ", level, read.message()));
    }
  }
  return absl::OkStatus();
}

void DescribePolicy(const QueuePolicy& policy, ModelQueuePolicy* message) {
  message->set_timeout_action(policy.delay_on_timeout ? ModelQueuePolicy::DELAY
                                                      : ModelQueuePolicy::REJECT);
  message->set_default_timeout_microseconds(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(policy.default_timeout).count()));
  message->set_max_queue_size(policy.max_queue_size);
}

}  // namespace

absl::Status ReadBatching(const inference::ModelConfig& message, const TextProtoLines& lines,
                          ModelConfig* config) {
  if (!message.has_dynamic_batching()) return absl::OkStatus();
  const ModelDynamicBatching& batching = message.dynamic_batching();
  const TextProtoLines inner = lines.Nested(message, "dynamic_batching");
  if (config->max_batch_size == 0) {
    return FieldError(lines, message, "dynamic_batching",
                      "the model has no batch dimension; set max_batch_size to 1 or more");
  }
  config->dynamic_batching = true;
  absl::Status status = ReadSizes(batching, inner, config);
  if (status.ok()) status = ReadLevels(batching, inner, config);
  if (status.ok()) status = ReadPolicies(batching, inner, config);
  return status;
}

void DescribeBatching(const ModelConfig& config, ModelDynamicBatching* message) {
  message->set_max_queue_delay_microseconds(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(config.max_queue_delay).count()));
  for (const uint32_t size : config.preferred_batch_sizes) {
    message->add_preferred_batch_size(static_cast<int32_t>(size));
  }
  message->set_preserve_ordering(config.preserve_ordering);
  message->set_priority_levels(config.priority_levels);
  message->set_default_priority_level(config.default_priority_level);
  DescribePolicy(config.queue_policy, message->mutable_default_queue_policy());
  for (const auto& [level, policy] : config.level_policies) {
    DescribePolicy(policy, &(*message->mutable_priority_queue_policy())[level]);
  }
}

}  // namespace tandem::server
