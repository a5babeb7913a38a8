// The joining of the answers of a Predict.
#include <benchmark/benchmark.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "router/combine.h"
#include "router/response_merger.h"

namespace tandem {
namespace {

void MergeAnswers(benchmark::State& state) {
  const auto calls = static_cast<size_t>(state.range(0));
  std::vector<std::string> keys;
  for (size_t i = 0; i < calls; ++i) keys.push_back(absl::StrCat("model", i));
  for (auto _ : state) {
    ResponseMerger merger(keys, MergePolicy::kAll);
    for (size_t i = 0; i < calls; ++i) {
      InferResponse response;
      response.model = keys[i];
      merger.Add(i, std::move(response));
    }
    benchmark::DoNotOptimize(std::move(merger).Take());
  }
}
BENCHMARK(MergeAnswers)->Arg(2)->Arg(8);

// 32 rows of 10 scores from each of 3 models.
void CombineScores(benchmark::State& state, CombineMethod method) {
  const std::vector<float> scores(320, 0.5F);
  std::vector<CombineMember> members;
  for (const char* key : {"a", "b", "c"}) {
    CombineMember member;
    member.key = key;
    member.tensor = {"scores", DataType::kFp32, {32, 10}, {}};
    member.tensor.pieces.emplace_back(reinterpret_cast<const std::byte*>(scores.data()),
                                      scores.size() * sizeof(float));
    members.push_back(std::move(member));
  }
  for (auto _ : state) benchmark::DoNotOptimize(Combine(method, members, "combined").ok());
}
BENCHMARK_CAPTURE(CombineScores, mean, CombineMethod::kMean);
BENCHMARK_CAPTURE(CombineScores, majority_vote, CombineMethod::kMajorityVote);

}  // namespace
}  // namespace tandem
