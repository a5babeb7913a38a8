#include "server/model_description.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/batching_config.h"

namespace tandem::server {
namespace {

using inference::ModelMetadataResponse;

void DescribeTensor(const TensorSpec& spec, bool batched,
                    ModelMetadataResponse::TensorMetadata* tensor) {
  tensor->set_name(spec.name);
  if (spec.type != DataType::kInvalid) tensor->set_datatype(std::string(DataTypeName(spec.type)));
  if (spec.any_shape) return;
  if (batched) tensor->add_shape(-1);
  tensor->mutable_shape()->Add(spec.dims.begin(), spec.dims.end());
}

// Works for ModelInput and ModelOutput.
template <typename Message>
void DescribeSpec(const TensorSpec& spec, Message* message) {
  message->set_name(spec.name);
  // The numbers are the same.
  message->set_data_type(static_cast<inference::DataType>(spec.type));
  message->mutable_dims()->Add(spec.dims.begin(), spec.dims.end());
}

void AddInstanceGroup(inference::ModelInstanceGroup::Kind kind, uint32_t count,
                      inference::ModelConfig* message) {
  inference::ModelInstanceGroup* group = message->add_instance_group();
  group->set_kind(kind);
  group->set_count(static_cast<int32_t>(count));
}

void Describe(uint64_t count, Duration time, inference::StatisticDuration* message) {
  message->set_count(count);
  message->set_ns(static_cast<uint64_t>(time.count()));
}

}  // namespace

absl::StatusOr<ModelMetadataResponse> DescribeModel(const ModelStatus& version,
                                                    absl::Span<const ModelStatus> all) {
  if (version.state != ModelState::kReady &&
      (version.model == nullptr || version.model->config.inputs.empty())) {
    return absl::UnavailableError(
        absl::StrCat("model \"", version.name,
                     "\" is not ready, and what it takes is not known yet: ", version.reason));
  }
  ModelMetadataResponse response;
  response.set_name(version.name);
  for (const ModelStatus& other : all) {
    if (other.name == version.name && other.state == ModelState::kReady) {
      response.add_versions(absl::StrCat(other.version));
    }
  }
  const ModelConfig& config = version.model->config;
  response.set_platform(config.platform);
  const bool batched = config.max_batch_size > 0;
  for (const TensorSpec& spec : config.inputs) {
    DescribeTensor(spec, batched, response.add_inputs());
  }
  for (const TensorSpec& spec : config.outputs) {
    DescribeTensor(spec, batched, response.add_outputs());
  }
  return response;
}

inference::ModelConfig DescribeConfig(const ModelConfig& config) {
  inference::ModelConfig message;
  message.set_name(config.name);
  message.set_platform(config.platform);
  if (config.platform == "pytorch_libtorch") message.set_backend("pytorch");
  message.set_max_batch_size(static_cast<int32_t>(config.max_batch_size));
  for (const TensorSpec& spec : config.inputs) {
    inference::ModelInput* input = message.add_input();
    DescribeSpec(spec, input);
    input->set_optional(spec.optional);
  }
  for (const TensorSpec& spec : config.outputs) DescribeSpec(spec, message.add_output());
  if (config.on_cpu) {
    AddInstanceGroup(inference::ModelInstanceGroup::KIND_CPU, config.instances_cpu, &message);
  }
  if (config.on_gpu) {
    AddInstanceGroup(inference::ModelInstanceGroup::KIND_GPU, config.instances_gpu, &message);
  }
  if (config.dynamic_batching) {
    DescribeBatching(config, message.mutable_dynamic_batching());
  }
  for (const auto& [key, value] : config.parameters) {
    (*message.mutable_parameters())[key].set_string_value(value);
  }
  if (config.method != "forward") {
    (*message.mutable_parameters())["method"].set_string_value(config.method);
  }
  return message;
}

inference::ModelStatistics DescribeStatistics(const ModelStatus& version) {
  inference::ModelStatistics statistics;
  statistics.set_name(version.name);
  statistics.set_version(VersionText(version.version));
  const ModelTotals& totals = version.totals;
  statistics.set_inference_count(totals.rows);
  statistics.set_execution_count(totals.batches);
  const uint64_t succeeded = totals.requests - std::min(totals.requests, totals.failures);
  inference::InferStatistics& stats = *statistics.mutable_inference_stats();
  Describe(succeeded, totals.succeeded, stats.mutable_success());
  Describe(totals.failures, totals.failed, stats.mutable_fail());
  Describe(succeeded, totals.queued, stats.mutable_queue());
  // Clients of the protocol take it that all three are counted.
  Describe(succeeded, Duration(0), stats.mutable_compute_input());
  Describe(succeeded, totals.computed, stats.mutable_compute_infer());
  Describe(succeeded, Duration(0), stats.mutable_compute_output());
  return statistics;
}

}  // namespace tandem::server
