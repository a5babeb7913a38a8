#include "router/combine.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <limits>

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Members whose bytes it keeps.
class Members {
 public:
  template <typename T>
  Members& Add(DataType type, Shape shape, const std::vector<T>& values, double weight = 1) {
    auto& bytes = bytes_.emplace_back(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    Tensor tensor{"out", type, std::move(shape), {}};
    tensor.pieces.push_back(bytes);
    members_.push_back({std::string(1, static_cast<char>('a' + members_.size())), tensor, weight});
    return *this;
  }
  Members& Scores(Shape shape, const std::vector<float>& values, double weight = 1) {
    return Add(DataType::kFp32, std::move(shape), values, weight);
  }

  template <typename T>
  std::vector<T> Run(CombineMethod method, DataType type, const Shape& shape) const {
    const auto combined = Combine(method, members_, "combined");
    INFO(combined.status().ToString());
    REQUIRE(combined.ok());
    CHECK(combined->tensor.name == "combined");
    CHECK(combined->tensor.type == type);
    CHECK(combined->tensor.shape == shape);
    std::vector<T> values(combined->tensor.byte_size() / sizeof(T));
    CopyBytes(combined->tensor, reinterpret_cast<std::byte*>(values.data()));
    return values;
  }
  std::vector<float> Mean(const Shape& shape) const {
    return Run<float>(CombineMethod::kMean, DataType::kFp32, shape);
  }
  std::vector<int64_t> Vote(const Shape& shape) const {
    return Run<int64_t>(CombineMethod::kMajorityVote, DataType::kInt64, shape);
  }
  absl::Status Refusal(CombineMethod method) const {
    return Combine(method, members_, "combined").status();
  }

 private:
  std::deque<std::vector<std::byte>> bytes_;
  std::vector<CombineMember> members_;
};

TEST_CASE("A mean is taken element by element, in FP32, over any numeric types", "[combine]") {
  Members members;
  members.Scores({2, 2}, {1, 2, 3, 4});
  members.Add<int64_t>(DataType::kInt64, {2, 2}, {3, 4, 5, 8});
  CHECK(members.Mean({2, 2}) == std::vector<float>{2, 3, 4, 6});
}

TEST_CASE("Half precision is read as what it means", "[combine]") {
  Members half;
  half.Add<uint16_t>(DataType::kFp16, {5}, {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00});
  CHECK(half.Mean({5}) == std::vector<float>{1, -2, std::ldexp(1.f, -24), 65504,
                                             std::numeric_limits<float>::infinity()});
  Members bfloat;
  bfloat.Add<uint16_t>(DataType::kBf16, {3}, {0x3f80, 0xc040, 0x7f80});
  CHECK(bfloat.Mean({3}) == std::vector<float>{1, -3, std::numeric_limits<float>::infinity()});
}

TEST_CASE("Every integer type is read with its sign", "[combine]") {
  Members members;
  members.Add<uint8_t>(DataType::kBool, {1}, {1});
  members.Add<int8_t>(DataType::kInt8, {1}, {-3});
  members.Add<uint16_t>(DataType::kUint16, {1}, {65535});
  members.Add<int16_t>(DataType::kInt16, {1}, {-5});
  members.Add<uint32_t>(DataType::kUint32, {1}, {7});
  members.Add<int32_t>(DataType::kInt32, {1}, {-7});
  members.Add<uint64_t>(DataType::kUint64, {1}, {8});
  members.Add<uint8_t>(DataType::kUint8, {1}, {200});
  CHECK(members.Mean({1})[0] == Approx((1 - 3 + 65535 - 5 + 7 - 7 + 8 + 200) / 8.0));
}

TEST_CASE("Weights need not add up to one, and 0 is read as 1", "[combine]") {
  Members members;
  members.Scores({1}, {1}, 3).Scores({1}, {5}, 0);
  CHECK(members.Run<float>(CombineMethod::kWeightedMean, DataType::kFp32, {1}) ==
        std::vector<float>{2});
  // The plain mean knows no weights.
  CHECK(members.Mean({1}) == std::vector<float>{3});
}

TEST_CASE("The class with most votes wins, a row at a time", "[combine]") {
  Members members;
  members.Scores({2, 3}, {0.1f, 0.8f, 0.1f, 0.9f, 0, 0});
  members.Scores({2, 3}, {0.2f, 0.5f, 0.3f, 0, 0.4f, 0.6f});
  members.Scores({2, 3}, {0.9f, 0.05f, 0.05f, 0.1f, 0.3f, 0.6f});
  CHECK(members.Vote({2}) == std::vector<int64_t>{1, 2});
}

TEST_CASE("Integer outputs hold the class itself, and vote beside scores", "[combine]") {
  Members members;
  members.Add<int64_t>(DataType::kInt64, {2}, {2, 0});
  members.Add<int32_t>(DataType::kInt32, {2, 1}, {2, 1});
  members.Scores({2, 3}, {1, 0, 0, 0, 1, 0});
  CHECK(members.Vote({2}) == std::vector<int64_t>{2, 1});
}

TEST_CASE("A tie goes to the higher sum of scores, then to the lower class", "[combine]") {
  Members scores;
  scores.Scores({2}, {0.4f, 0.6f}).Scores({2}, {0.9f, 0.1f});
  CHECK(scores.Vote({}) == std::vector<int64_t>{0});
  Members equal;
  equal.Scores({2}, {0.25f, 0.75f}).Scores({2}, {0.75f, 0.25f});
  CHECK(equal.Vote({}) == std::vector<int64_t>{0});
  Members classes;
  classes.Add<int64_t>(DataType::kInt64, {1}, {7}).Add<int64_t>(DataType::kInt64, {1}, {4});
  CHECK(classes.Vote({1}) == std::vector<int64_t>{4});
  Members own;
  own.Scores({3}, {0.1f, 0.7f, 0.7f});
  CHECK(own.Vote({}) == std::vector<int64_t>{1});
}

TEST_CASE("Scores that are not numbers are no vote", "[combine]") {
  Members members;
  members.Scores({2, 2}, {kNan, 0.1f, kNan, kNan});
  CHECK(members.Vote({2}) == std::vector<int64_t>{1, -1});
}

TEST_CASE("What does not fit is refused with the call, the output and both shapes", "[combine]") {
  Members shapes;
  shapes.Scores({2}, {1, 2}).Scores({1, 2}, {1, 2});
  CHECK(shapes.Refusal(CombineMethod::kMean) ==
        absl::FailedPreconditionError("combine: output \"out\" of call \"b\": expected shape [2] "
                                      "as of call \"a\", got [1,2]"));
  CHECK(shapes.Refusal(CombineMethod::kMajorityVote).code() ==
        absl::StatusCode::kFailedPrecondition);
  Members classes;
  classes.Scores({2}, {1, 2}).Scores({3}, {1, 2, 3});
  CHECK(classes.Refusal(CombineMethod::kMajorityVote).message() ==
        "combine: output \"out\" of call \"b\": expected scores for 2 classes as of call \"a\", "
        "got 3");
  Members scalar;
  scalar.Scores({}, {1});
  CHECK(scalar.Refusal(CombineMethod::kMajorityVote).code() ==
        absl::StatusCode::kFailedPrecondition);
  Members strings;
  strings.Add<uint8_t>(DataType::kBytes, {1}, {0, 0, 0, 0});
  CHECK(strings.Refusal(CombineMethod::kMean).message() ==
        "combine: output \"out\" of call \"a\": expected a numeric type, got BYTES");
  Members vast;
  vast.Add<uint64_t>(DataType::kUint64, {1}, {~uint64_t{0}});
  CHECK(vast.Refusal(CombineMethod::kMajorityVote).message() ==
        "combine: output \"out\" of call \"a\": it votes for the class 18446744073709551615, which "
        "the INT64 of the result cannot hold");
  Members cut;
  cut.Scores({3}, {1, 2});
  CHECK(cut.Refusal(CombineMethod::kMean).code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("Nothing to combine, no method and bad weights are the caller's fault", "[combine]") {
  CHECK(Members().Refusal(CombineMethod::kMean).code() == absl::StatusCode::kInvalidArgument);
  Members members;
  members.Scores({1}, {1});
  CHECK(members.Refusal(CombineMethod::kNone).code() == absl::StatusCode::kInvalidArgument);
  for (const double weight : {-1.0, static_cast<double>(kNan)}) {
    Members weighted;
    weighted.Scores({1}, {1}, weight);
    CHECK(weighted.Refusal(CombineMethod::kWeightedMean).code() ==
          absl::StatusCode::kInvalidArgument);
  }
  Members huge;
  huge.Scores({1}, {1}, 1e308).Scores({1}, {1}, 1e308);
  CHECK(huge.Refusal(CombineMethod::kWeightedMean).code() == absl::StatusCode::kInvalidArgument);
  CHECK(huge.Mean({1}) == std::vector<float>{1});
}

TEST_CASE("Weights at the edges of what a number holds weigh as others do", "[combine]") {
  for (const double weight : {1e300, 1e-300}) {
    Members members;
    members.Scores({1}, {4e30f}, 3 * weight).Scores({1}, {8e30f}, weight);
    CHECK(members.Run<float>(CombineMethod::kWeightedMean, DataType::kFp32, {1})[0] ==
          Approx(5e30));
  }
}

TEST_CASE("Empty tensors combine to an empty one", "[combine]") {
  Members members;
  members.Scores({0, 3}, {}).Scores({0, 3}, {});
  CHECK(members.Mean({0, 3}).empty());
  CHECK(members.Vote({0}).empty());
}

}  // namespace
}  // namespace tandem
