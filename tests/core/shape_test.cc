#include "core/shape.h"

#include <rapidcheck.h>

#include <limits>
#include <vector>

#include "tests/support/catch.h"

namespace tandem {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

TEST_CASE("A scalar has one element, a shape with a zero none", "[core]") {
  CHECK(*ElementCount({}) == 1);
  CHECK(*ElementCount({3, 4}) == 12);
  CHECK(*ElementCount({3, 0, 4}) == 0);
  CHECK(*ElementCount({kHuge}) == kHuge);
  CHECK(*ByteSize(DataType::kFp64, {3, 4}) == 96);
}

TEST_CASE("Shapes that nobody can hold are refused", "[core]") {
  const std::vector<Shape> shapes = {{-1},
                                     {2, -3},
                                     {kHuge, 2},
                                     {0, kHuge, kHuge},
                                     {kHuge, kHuge, 0},
                                     Shape(9, 1),
                                     {int64_t{1} << 32, int64_t{1} << 31}};
  for (const Shape& shape : shapes) {
    CHECK(ElementCount(shape).status().code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(ElementCount({kHuge / 4 + 1}).ok());
  CHECK_FALSE(ByteSize(DataType::kFp32, {kHuge / 4 + 1}).ok());
}

TEST_CASE("A shape is written as people write it", "[core]") {
  CHECK(ShapeToString({}) == "[]");
  CHECK(ShapeToString({1, -1, 224}) == "[1,-1,224]");
}

TEST_CASE("Counts agree with arithmetic in more bits, for any shape", "[core][property]") {
  CHECK(rc::check("element count", [] {
    const auto rank = *rc::gen::inRange<size_t>(0, kMaxRank + 2);
    const auto shape = *rc::gen::container<std::vector<int64_t>>(
        rank, rc::gen::oneOf(rc::gen::inRange<int64_t>(-2, 70),
                             rc::gen::inRange<int64_t>(int64_t{1} << 30, int64_t{1} << 34),
                             rc::gen::arbitrary<int64_t>()));
    bool takes = shape.size() <= kMaxRank;
    bool empty = false;
    Wide product = 1;
    for (const int64_t dim : shape) {
      takes = takes && dim >= 0;
      empty = empty || dim == 0;
      if (!takes || dim == 0) continue;
      product *= static_cast<uint64_t>(dim);
      takes = product <= static_cast<uint64_t>(kHuge);
    }
    const auto count = ElementCount(shape);
    RC_ASSERT(count.ok() == takes);
    if (takes) RC_ASSERT(*count == (empty ? 0 : static_cast<int64_t>(product)));
    const auto bytes = ByteSize(DataType::kInt16, shape);
    const bool counted = takes && (empty || product * 2 <= static_cast<uint64_t>(kHuge));
    RC_ASSERT(bytes.ok() == counted);
    if (counted) RC_ASSERT(*bytes == static_cast<size_t>(*count) * 2);
  }));
}

}  // namespace
}  // namespace tandem
