#include "server/predict_run.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/input_mapping.h"

namespace tandem::server {
namespace {

std::vector<std::string> Keys(const DecodedPredict& request) {
  std::vector<std::string> keys;
  for (const DecodedCall& call : request.calls) keys.push_back(call.key);
  return keys;
}

// Gives the outputs the names that the call wants for them.
void RenameOutputs(const v1::ModelCall& call, InferResponse* response) {
  for (Tensor& output : response->outputs) {
    const auto name = call.output_names().find(output.name);
    if (name != call.output_names().end()) output.name = name->second;
  }
}

absl::StatusOr<CombineMember> ChooseOutput(const MergedResult& result, const std::string& output,
                                           double weight) {
  for (const Tensor& tensor : result.response.outputs) {
    if (output.empty() || tensor.name == output) return CombineMember{result.key, tensor, weight};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("combine: the call '", result.key, "' has no output",
                   output.empty() ? "" : absl::StrCat(" '", output, "'")));
}

// Takes well under a millisecond.
constexpr size_t kQuicklyCombined = size_t{64} << 10;

size_t BytesOf(const std::vector<MergedResult>& results) {
  size_t bytes = 0;
  for (const MergedResult& result : results) {
    for (const Tensor& output : result.response.outputs) bytes += output.byte_size();
  }
  return bytes;
}

}  // namespace

PredictRun::PredictRun(const Clock& clock, Router& router, TaskThread& combiner,
                       DecodedPredict request, TimePoint arrival, TimePoint deadline,
                       Callbacks callbacks)
    : clock_(clock),
      router_(router),
      combiner_(combiner),
      request_(std::move(request)),
      arrival_(arrival),
      deadline_(deadline),
      callbacks_(std::move(callbacks)),
      merger_(Keys(request_), request_.policy, deadline) {}

void PredictRun::Start() {
  if (deadline_ != kNever) {
    const Duration left = std::max(Duration{0}, deadline_ - clock_.Now());
    // Weak, since an alarm keeps its callback for as long as it lives, and this owns the alarm.
    // Calls without an answer keep this alive.
    const std::weak_ptr<PredictRun> weak = weak_from_this();
    alarm_.Set(std::chrono::system_clock::now() +
                   std::chrono::duration_cast<std::chrono::system_clock::duration>(left),
               [weak](bool expired) {
                 const std::shared_ptr<PredictRun> self = weak.lock();
                 if (expired && self != nullptr) self->OnDeadline();
               });
  }
  // Lanes take what comes first: the longest, so that the light ones fill the gaps beside it.
  std::vector<Member> members;
  for (size_t i = 0; i < request_.calls.size(); ++i) {
    members.push_back(
        {i, router_.FindModel(request_.calls[i].message->name(), request_.calls[i].version)});
  }
  std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return a.expected_time() > b.expected_time();
  });
  for (const Member& member : members) Submit(member);
}

void PredictRun::Submit(const Member& member) {
  const size_t index = member.index;
  const absl::StatusOr<ModelStatus>& model = member.model;
  const DecodedCall& call = request_.calls[index];
  auto request = std::make_unique<InferRequest>();
  request->model = call.message->name();
  request->version = call.version;
  request->pool = call.pool;
  request->arrival = arrival_;
  request->deadline = deadline_;
  request->client = request_.client;
  request->cancelled = cancelled_;
  request->keep_alive = request_.keep_alive;
  request->requested_outputs.assign(call.message->outputs().begin(), call.message->outputs().end());

  const bool known = model.ok() && model->model != nullptr;
  const bool shared = call.inputs.empty();
  absl::StatusOr<std::vector<Tensor>> inputs = MapInputs(
      shared ? request_.shared_inputs : call.inputs, shared, call.message->input_names(),
      known ? absl::MakeConstSpan(model->model->config.inputs) : absl::Span<const TensorSpec>());
  absl::Status named = inputs.status();
  if (known) {
    named.Update(CheckOutputNames(call.message->output_names(), model->model->config.outputs));
  }
  // Where there is no such model, the router says so; that matters more than names.
  if (!named.ok() && known) {
    InferResponse response;
    response.status =
        absl::Status(named.code(), absl::StrCat("model '", request->model, "': ", named.message()));
    response.model = request->model;
    OnAnswer(index, std::move(response));
    return;
  }
  if (inputs.ok()) request->inputs = *std::move(inputs);
  router_.Submit(std::move(request), [self = shared_from_this(), index](InferResponse response) {
    self->OnAnswer(index, std::move(response));
  });
}

void PredictRun::OnAnswer(size_t index, InferResponse response) {
  RenameOutputs(*request_.calls[index].message, &response);
  if (response.model.empty()) response.model = request_.calls[index].message->name();
  absl::ReleasableMutexLock lock(&mutex_);
  if (merged_) return;
  callbacks_.admit(&response);
  if (!merger_.Add(index, std::move(response))) return;
  if (callbacks_.result) callbacks_.result(merger_.result(index));
  if (!merger_.complete()) return;
  merged_ = true;
  ResponseMerger merger = std::move(merger_);
  lock.Release();
  alarm_.Cancel();
  Merge(std::move(merger));
}

void PredictRun::OnDeadline() {
  absl::ReleasableMutexLock lock(&mutex_);
  // The alarm runs on another clock, and may be a little early.
  if (merged_ || !merger_.Expire(std::max(clock_.Now(), deadline_))) return;
  merged_ = true;
  ResponseMerger merger = std::move(merger_);
  lock.Release();
  Merge(std::move(merger));
}

void PredictRun::Merge(ResponseMerger merger) {
  // What has not been answered yet is of no use any more.
  Cancel();
  MergedPredict merged;
  merged.status = merger.status();
  merged.id = request_.message->id();
  merged.results = std::move(merger).Take();
  merged.arrival = arrival_;
  if (request_.combine == CombineMethod::kNone || BytesOf(merged.results) <= kQuicklyCombined) {
    return Combine(std::move(merged));
  }
  combiner_.Do([self = shared_from_this(), merged = std::move(merged)]() mutable {
    self->Combine(std::move(merged));
  });
}

void PredictRun::Combine(MergedPredict merged) const {
  if (merged.status.ok()) merged.status = CombineOutputs(&merged);
  merged.total_time = clock_.Now() - arrival_;
  callbacks_.merged(std::move(merged));
}

absl::Status PredictRun::CombineOutputs(MergedPredict* merged) const {
  if (request_.combine == CombineMethod::kNone) return absl::OkStatus();
  const v1::Combine& combine = request_.message->combine();
  std::vector<CombineMember> members;
  const auto add = [&](const MergedResult& result, const std::string& output, double weight) {
    if (!result.response.status.ok()) return absl::OkStatus();
    absl::StatusOr<CombineMember> member = ChooseOutput(result, output, weight);
    if (!member.ok()) return member.status();
    members.push_back(*std::move(member));
    return absl::OkStatus();
  };
  if (combine.members().empty()) {
    for (const MergedResult& result : merged->results) {
      if (const absl::Status added = add(result, "", 1.0); !added.ok()) return added;
    }
  }
  for (const v1::Combine::Member& wanted : combine.members()) {
    for (const MergedResult& result : merged->results) {
      if (result.key != wanted.key()) continue;
      const absl::Status added = add(result, wanted.output(), wanted.weight());
      if (!added.ok()) return added;
    }
  }
  if (members.empty()) return absl::OkStatus();
  absl::StatusOr<CombinedTensor> combined =
      tandem::Combine(request_.combine, members,
                      combine.output_name().empty() ? "combined" : combine.output_name());
  // Outputs that do not fit together were chosen by the client.
  if (!combined.ok()) return absl::InvalidArgumentError(combined.status().message());
  merged->combined = std::make_shared<const CombinedTensor>(*std::move(combined));
  return absl::OkStatus();
}

}  // namespace tandem::server
