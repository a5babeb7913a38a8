#include "router/quarantine.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

const std::vector<float> kValues = {1, 2, 3, 4};
const std::vector<float> kOthers = {1, 2, 3, 5};

Tensor Row(const std::vector<float>& values) {
  return TensorOf("x", DataType::kFp32, {1, 4}, values);
}

TEST_CASE("A fingerprint does not depend on the pieces that the bytes came in", "[quarantine]") {
  const auto model = Version(BatchingModel());
  Tensor big = MakeTensor("x", DataType::kUint8, {20000});
  const uint64_t whole = FingerprintOf(*model, {big});
  const Bytes bytes = big.pieces[0];
  for (const size_t cut : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{19999}}) {
    big.pieces = {bytes.first(cut), Bytes{}, bytes.subspan(cut)};
    CHECK(FingerprintOf(*model, {big}) == whole);
  }
}

TEST_CASE("A fingerprint tells model, name, type, shape and bytes apart", "[quarantine]") {
  const auto model = Version(BatchingModel(), 1);
  const uint64_t print = FingerprintOf(*model, {Row(kValues)});
  CHECK(FingerprintOf(*model, {Row(std::vector<float>(kValues))}) == print);
  CHECK(FingerprintOf(*Version(BatchingModel(), 2), {Row(kValues)}) != print);
  CHECK(FingerprintOf(*model, {Row(kOthers)}) != print);
  Tensor changed = TensorOf("y", DataType::kFp32, {1, 4}, kValues);
  CHECK(FingerprintOf(*model, {changed}) != print);
  changed = Row(kValues);
  changed.type = DataType::kInt32;
  CHECK(FingerprintOf(*model, {changed}) != print);
  changed = Row(kValues);
  changed.shape = {4, 1};
  CHECK(FingerprintOf(*model, {changed}) != print);
  CHECK(FingerprintOf(*model, {Row(kValues), Row(kValues)}) != print);
}

TEST_CASE("A quarantined request is refused until its time is over", "[quarantine]") {
  const auto model = Version(BatchingModel(), 1);
  const auto other = Version(BatchingModel("other"), 2);
  Quarantine quarantine(seconds(600));
  CHECK(quarantine.empty());
  quarantine.Add(kStart, *model, FingerprintOf(*model, {Row(kValues)}));
  CHECK_FALSE(quarantine.empty());
  const absl::Status refused = quarantine.Check(kStart + seconds(1), *model, {Row(kValues)});
  CHECK(refused.code() == absl::StatusCode::kInternal);
  CHECK(refused.message() ==
        "model \"m\": a request with these inputs ended workers; it is refused for another "
        "599 s. Send other inputs, or ask the server's operator");
  CHECK(quarantine.Check(kStart, *model, {Row(kOthers)}).ok());
  CHECK(quarantine.Check(kStart, *other, {Row(kValues)}).ok());
  const std::vector<QuarantinedRequest> listed = quarantine.List(kStart + seconds(2));
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].model == "m");
  CHECK(listed[0].left == seconds(598));
  CHECK(listed[0].refused == 1);
  CHECK(quarantine.Check(kStart + seconds(600), *model, {Row(kValues)}).ok());
  CHECK(quarantine.empty());
}

TEST_CASE("A quarantine can be cleared, turned off, and does not grow without end",
          "[quarantine]") {
  const auto model = Version(BatchingModel());
  Quarantine quarantine(seconds(600));
  for (uint64_t print = 0; print < Quarantine::kMostRequests + 10; ++print) {
    quarantine.Add(kStart, *model, print);
    quarantine.Add(kStart, *model, print);
  }
  CHECK(quarantine.size() == Quarantine::kMostRequests);
  CHECK(quarantine.List(kStart).front().fingerprint == 10);
  CHECK(quarantine.Clear() == Quarantine::kMostRequests);
  CHECK(quarantine.empty());
  Quarantine off(seconds(0));
  off.Add(kStart, *model, 1);
  CHECK(off.empty());
}

}  // namespace
}  // namespace tandem
