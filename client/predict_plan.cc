#include "client/predict_plan.h"

#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem::client {
namespace {

void AddCalls(const std::vector<std::string>& words,
              google::protobuf::RepeatedPtrField<v1::ModelCall>& calls) {
  for (const std::string& word : words) {
    const std::vector<std::string> parts = absl::StrSplit(word, absl::MaxSplits(':', 1));
    v1::ModelCall* call = calls.Add();
    call->set_name(parts[0]);
    if (parts.size() > 1) call->set_version(parts[1]);
  }
}

// All calls of the request, in the order of the reply.
template <typename Request, typename Visitor>
void ForEachCall(Request& request, Visitor&& visit) {
  const auto each = [&visit](auto& calls) {
    for (auto& call : calls) visit(call);
  };
  if constexpr (std::is_const_v<Request>) {
    each(request.cpu_models());
    each(request.gpu_models());
    each(request.models());
  } else {
    each(*request.mutable_cpu_models());
    each(*request.mutable_gpu_models());
    each(*request.mutable_models());
  }
}

// The same model may be asked of both pools: then its calls need names of their own.
void NameCalls(v1::PredictRequest& request) {
  std::set<std::string> seen;
  const auto name = [&seen](auto& calls, const char* pool) {
    for (v1::ModelCall& call : calls) {
      if (seen.insert(call.name()).second) continue;
      std::string key = absl::StrCat(call.name(), "@", pool);
      for (int i = 2; !seen.insert(key).second; ++i) key = absl::StrCat(call.name(), "@", pool, i);
      call.set_key(key);
    }
  };
  name(*request.mutable_cpu_models(), "cpu");
  name(*request.mutable_gpu_models(), "gpu");
  name(*request.mutable_models(), "any");
}

absl::Status SetCombine(const PredictTemplate& words, v1::Combine& combine) {
  if (words.combine == "mean") {
    combine.set_method(v1::Combine::METHOD_MEAN);
  } else if (words.combine == "weighted_mean") {
    combine.set_method(v1::Combine::METHOD_WEIGHTED_MEAN);
  } else if (words.combine == "majority_vote") {
    combine.set_method(v1::Combine::METHOD_MAJORITY_VOTE);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "--combine is mean, weighted_mean or majority_vote, not \"", words.combine, "\""));
  }
  for (const std::string& word : words.combine_outputs) {
    const std::vector<std::string> parts = absl::StrSplit(word, ':');
    v1::Combine::Member* member = combine.add_members();
    member->set_key(parts[0]);
    if (parts.size() > 1) member->set_output(parts[1]);
    double weight = 0;
    if (parts.size() > 3 ||
        (parts.size() == 3 && (!absl::SimpleAtod(parts[2], &weight) || weight <= 0))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--combine-output is KEY, KEY:OUTPUT or KEY:OUTPUT:WEIGHT with a weight above 0, not \"",
          word, "\""));
    }
    member->set_weight(weight);
  }
  return absl::OkStatus();
}

void AddInput(
    const std::string& name, Array array,
    google::protobuf::RepeatedPtrField<inference::ModelInferRequest::InferInputTensor>& inputs,
    google::protobuf::RepeatedPtrField<std::string>& raw) {
  inference::ModelInferRequest::InferInputTensor* tensor = inputs.Add();
  tensor->set_name(name);
  tensor->set_datatype(TypeText(array.type));
  tensor->mutable_shape()->Assign(array.shape.begin(), array.shape.end());
  *raw.Add() = std::move(array.bytes);
}

}  // namespace

absl::StatusOr<v1::PredictRequest> MakeRequest(const PredictTemplate& words) {
  v1::PredictRequest request;
  AddCalls(words.cpu_models, *request.mutable_cpu_models());
  AddCalls(words.gpu_models, *request.mutable_gpu_models());
  AddCalls(words.models, *request.mutable_models());
  bool any = false;
  ForEachCall(std::as_const(request), [&any](const v1::ModelCall&) { any = true; });
  if (!any) {
    return absl::InvalidArgumentError("name a model: --cpu-models, --gpu-models or --models");
  }
  NameCalls(request);
  if (words.merge_policy == "partial") {
    request.set_merge_policy(v1::MERGE_POLICY_PARTIAL);
  } else if (words.merge_policy != "all") {
    return absl::InvalidArgumentError(
        absl::StrCat("--merge-policy is all or partial, not \"", words.merge_policy, "\""));
  }
  if (words.combine.empty()) {
    if (words.combine_outputs.empty()) return request;
    return absl::InvalidArgumentError("--combine-output needs --combine");
  }
  const absl::Status status = SetCombine(words, *request.mutable_combine());
  if (!status.ok()) return status;
  return request;
}

PredictPlan::PredictPlan(v1::PredictRequest request, std::vector<Signature> signatures,
                         std::vector<Array> constants, bool batch_by_default)
    : request_(std::move(request)),
      signatures_(std::move(signatures)),
      constants_(std::move(constants)),
      batch_by_default_(batch_by_default) {}

absl::StatusOr<std::vector<PredictPlan::Feed>> PredictPlan::Feeds(const Signature& signature,
                                                                  const RowInputs& row) const {
  std::vector<Feed> feeds;
  if (!signature.known) return feeds;
  const bool lone = row.size() == 1;
  for (size_t i = 0; i < row.size() + constants_.size(); ++i) {
    const bool constant = i >= row.size();
    const Array& array = constant ? constants_[i - row.size()] : row[i];
    const TensorSpec* input = signature.Find(array.name, lone && !constant);
    if (input == nullptr && lone && !constant) {
      // The constants name their inputs: a lone tensor without a name of the model's takes the one
      // that is left.
      for (const TensorSpec& spec : signature.inputs) {
        const bool taken = std::any_of(constants_.begin(), constants_.end(),
                                       [&](const Array& other) { return other.name == spec.name; });
        if (taken || spec.optional) continue;
        if (input != nullptr) {
          return absl::InvalidArgumentError(
              absl::StrCat("model \"", signature.model,
                           "\" takes several inputs; the row holds one, \"", array.name, "\""));
        }
        input = &spec;
      }
    }
    // A tensor that the model does not know is another model's.
    if (input == nullptr) continue;
    Feed feed{i, signature.inputs.size() == 1 ? "" : input->name, SentType(array, *input),
              Fit::kAsIs, array.shape};
    if (!constant) {
      feed.fit = FitOf(array.shape, *input, batch_by_default_);
      feed.shape = FittedShape(array.shape, *input, feed.fit);
    }
    feeds.push_back(std::move(feed));
  }
  if (feeds.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the row holds none of the inputs of model \"", signature.model, "\""));
  }
  return feeds;
}

absl::StatusOr<Array> PredictPlan::Gather(const Feed& feed,
                                          absl::Span<const RowInputs> rows) const {
  if (feed.source >= rows[0].size()) {
    return Convert(constants_[feed.source - rows[0].size()], feed.type);
  }
  Array gathered;
  gathered.type = feed.type;
  gathered.shape = feed.shape;
  if (rows.size() > 1) gathered.shape[0] = static_cast<int64_t>(rows.size());
  for (const RowInputs& row : rows) {
    absl::StatusOr<Array> converted = Convert(row[feed.source], feed.type);
    if (!converted.ok()) return converted.status();
    if (rows.size() == 1) {
      gathered.bytes = std::move(converted->bytes);
    } else {
      gathered.bytes += converted->bytes;
    }
  }
  return gathered;
}

absl::StatusOr<v1::PredictRequest> PredictPlan::Build(absl::Span<const RowInputs> rows) const {
  v1::PredictRequest request = request_;
  std::vector<std::vector<Feed>> feeds;
  for (const Signature& signature : signatures_) {
    absl::StatusOr<std::vector<Feed>> found = Feeds(signature, rows[0]);
    if (!found.ok()) return found.status();
    feeds.push_back(*std::move(found));
  }
  const auto name_of = [&](const Feed& feed) {
    return !feed.name.empty() || feed.source >= rows[0].size() ? feed.name
                                                               : rows[0][feed.source].name;
  };
  // The first model's inputs are the request's; a model that wants them otherwise gets its own.
  const auto first = std::find_if(signatures_.begin(), signatures_.end(),
                                  [](const Signature& signature) { return signature.known; });
  const std::vector<Feed>& common = feeds[static_cast<size_t>(first - signatures_.begin())];
  for (const Feed& feed : common) {
    absl::StatusOr<Array> array = Gather(feed, rows);
    if (!array.ok()) return array.status();
    const std::string name = name_of(feed);
    AddInput(name.empty() ? "input" : name, *std::move(array), *request.mutable_inputs(),
             *request.mutable_raw_input_contents());
  }
  size_t index = 0;
  absl::Status status;
  ForEachCall(request, [&](v1::ModelCall& call) {
    const std::vector<Feed>& wanted = feeds[index];
    const Signature& signature = signatures_[index++];
    if (wanted == common || !signature.known) return;
    for (const Feed& feed : wanted) {
      absl::StatusOr<Array> array = Gather(feed, rows);
      if (!array.ok()) {
        status = array.status();
        return;
      }
      AddInput(feed.name.empty() ? signature.inputs[0].name : feed.name, *std::move(array),
               *call.mutable_inputs(), *call.mutable_raw_input_contents());
    }
  });
  if (!status.ok()) return status;
  return request;
}

bool PredictPlan::CanJoin(const RowInputs& first, const RowInputs& second) const {
  const bool alike = std::equal(first.begin(), first.end(), second.begin(), second.end(),
                                [](const Array& a, const Array& b) {
                                  return a.name == b.name && a.type == b.type && a.shape == b.shape;
                                });
  if (!alike || !constants_.empty()) return false;
  return std::all_of(signatures_.begin(), signatures_.end(), [&](const Signature& signature) {
    const absl::StatusOr<std::vector<Feed>> feeds = Feeds(signature, first);
    return feeds.ok() && std::all_of(feeds->begin(), feeds->end(), [&](const Feed& feed) {
             const TensorSpec* input = signature.Find(feed.name, true);
             const bool batches = input->any_shape || input->dims[0] < 0;
             return feed.fit != Fit::kAsIs && batches;
           });
  });
}

std::vector<std::string> PredictPlan::Keys() const {
  std::vector<std::string> keys;
  ForEachCall(request_, [&keys](const v1::ModelCall& call) {
    keys.push_back(call.key().empty() ? call.name() : call.key());
  });
  return keys;
}

}  // namespace tandem::client
