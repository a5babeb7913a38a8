#include "backends/ipc/tensor_record.h"

#include <rapidcheck.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

constexpr size_t kArenaBytes = 1 << 16;
constexpr uint64_t kRecordOffset = 128;

struct Arena {
  std::vector<std::byte> bytes = std::vector<std::byte>(kArenaBytes);
  size_t record_bytes = 0;

  explicit Arena(const std::vector<ArenaTensor>& tensors) : record_bytes(RecordBytes(tensors)) {
    WriteRecord(tensors, bytes.data() + kRecordOffset);
  }
  absl::StatusOr<std::vector<ArenaTensor>> Read() const {
    return ReadRecord(bytes, kRecordOffset, record_bytes);
  }
};

ArenaTensor Floats(std::string name, Shape shape, uint64_t offset) {
  const size_t bytes = ByteSize(DataType::kFp32, shape).value();
  return {std::move(name), DataType::kFp32, std::move(shape), offset, bytes};
}

bool InArena(const ArenaTensor& tensor) {
  return tensor.offset <= kArenaBytes && tensor.bytes <= kArenaBytes - tensor.offset;
}

TEST_CASE("A record of no tensors is read as such", "[record]") {
  const auto tensors = Arena({}).Read();
  REQUIRE(tensors.ok());
  CHECK(tensors->empty());
}

TEST_CASE("A tensor may touch the arena's end and not pass it", "[record]") {
  CHECK(Arena({Floats("x", {4}, kArenaBytes - 16)}).Read().ok());
  CHECK_FALSE(Arena({Floats("x", {4}, kArenaBytes - 15)}).Read().ok());
  CHECK_FALSE(Arena({Floats("x", {4}, kArenaBytes + 1)}).Read().ok());
  CHECK_FALSE(Arena({Floats("x", {4}, std::numeric_limits<uint64_t>::max())}).Read().ok());
}

TEST_CASE("A tensor's bytes must fit its type and shape", "[record]") {
  ArenaTensor tensor = Floats("x", {2, 3}, 1024);
  tensor.bytes = GENERATE(0, 23, 25, 1 << 20);
  const auto tensors = Arena({tensor}).Read();
  CHECK(absl::IsInternal(tensors.status()));
}

TEST_CASE("A record with a shape that cannot be is refused", "[record]") {
  ArenaTensor tensor = Floats("x", {1}, 1024);
  SECTION("a negative dimension") { tensor.shape = {-1}; }
  SECTION("an overflow of elements") { tensor.shape = {int64_t{1} << 40, int64_t{1} << 40}; }
  SECTION("an overflow of bytes") { tensor.shape = {std::numeric_limits<int64_t>::max()}; }
  CHECK(absl::IsInternal(Arena({tensor}).Read().status()));
}

TEST_CASE("A record with an unknown type is refused", "[record]") {
  ArenaTensor tensor = Floats("x", {1}, 1024);
  tensor.type = static_cast<DataType>(0xee);
  CHECK(absl::IsInternal(Arena({tensor}).Read().status()));
}

TEST_CASE("An input that was left out keeps its name and place", "[record]") {
  ArenaTensor absent;
  absent.name = "optional";
  const auto tensors = Arena({Floats("x", {2}, 1024), absent, Floats("y", {}, 2048)}).Read();
  REQUIRE(tensors.ok());
  REQUIRE(tensors->size() == 3);
  CHECK((*tensors)[1].name == "optional");
  CHECK((*tensors)[1].type == DataType::kInvalid);
  CHECK((*tensors)[2].name == "y");
}

TEST_CASE("A record that leaves the arena, or claims more than it holds, is refused", "[record]") {
  Arena arena({Floats("x", {2}, 1024)});
  CHECK_FALSE(ReadRecord(arena.bytes, kArenaBytes - 8, arena.record_bytes).ok());
  CHECK_FALSE(ReadRecord(arena.bytes, std::numeric_limits<uint64_t>::max(), 8).ok());
  CHECK_FALSE(ReadRecord(arena.bytes, 8, std::numeric_limits<uint64_t>::max()).ok());
  for (size_t bytes = 0; bytes < arena.record_bytes; ++bytes) {
    CAPTURE(bytes);
    CHECK_FALSE(ReadRecord(arena.bytes, kRecordOffset, bytes).ok());
  }
  const uint32_t count = GENERATE(2u, 1025u, 0xffffffffu);
  std::memcpy(arena.bytes.data() + kRecordOffset, &count, sizeof(count));
  CHECK(absl::IsInternal(arena.Read().status()));
}

rc::Gen<ArenaTensor> AnyTensor() {
  return rc::gen::exec([] {
    ArenaTensor tensor;
    tensor.name = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    tensor.type = DataTypeFromNumber(*rc::gen::inRange<uint32_t>(1, kDataTypeCount));
    const auto rank = *rc::gen::inRange<size_t>(0, kMaxRank + 1);
    for (size_t i = 0; i < rank; ++i) tensor.shape.push_back(*rc::gen::inRange<int64_t>(0, 4));
    tensor.bytes = tensor.type == DataType::kBytes ? *rc::gen::inRange<size_t>(0, 1000)
                                                   : ByteSize(tensor.type, tensor.shape).value();
    tensor.bytes = std::min<uint64_t>(tensor.bytes, kArenaBytes);
    tensor.offset = *rc::gen::inRange<uint64_t>(0, kArenaBytes - tensor.bytes + 1);
    if (tensor.type != DataType::kBytes &&
        ByteSize(tensor.type, tensor.shape).value() != tensor.bytes) {
      tensor.shape = {0};
      tensor.bytes = 0;
    }
    return tensor;
  });
}

std::vector<ArenaTensor> AnyTensors() {
  return *rc::gen::resize(8, rc::gen::container<std::vector<ArenaTensor>>(AnyTensor()));
}

TEST_CASE("What is written into a record is read from it", "[record][property]") {
  CHECK(rc::check([] {
    const std::vector<ArenaTensor> written = AnyTensors();
    const auto read = Arena(written).Read();
    RC_ASSERT(read.ok());
    RC_ASSERT(read->size() == written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      RC_ASSERT((*read)[i].name == written[i].name);
      RC_ASSERT((*read)[i].type == written[i].type);
      RC_ASSERT((*read)[i].shape == written[i].shape);
      RC_ASSERT((*read)[i].offset == written[i].offset);
      RC_ASSERT((*read)[i].bytes == written[i].bytes);
    }
  }));
}

TEST_CASE("No change of a record's bytes yields a tensor outside the arena", "[record][property]") {
  CHECK(rc::check([] {
    Arena arena(AnyTensors());
    const auto flips = *rc::gen::container<std::vector<std::pair<size_t, uint8_t>>>(rc::gen::pair(
        rc::gen::inRange<size_t>(0, arena.record_bytes), rc::gen::arbitrary<uint8_t>()));
    for (const auto& [at, value] : flips) arena.bytes[kRecordOffset + at] = std::byte{value};
    const auto tensors = arena.Read();
    if (!tensors.ok()) {
      RC_ASSERT(absl::IsInternal(tensors.status()));
      return;
    }
    RC_ASSERT(tensors->size() <= kMaxTensors);
    for (const ArenaTensor& tensor : *tensors) {
      RC_ASSERT(InArena(tensor));
      RC_ASSERT(tensor.shape.size() <= kMaxRank);
      if (tensor.type == DataType::kInvalid || tensor.type == DataType::kBytes) continue;
      RC_ASSERT(ByteSize(tensor.type, tensor.shape).value() == tensor.bytes);
    }
  }));
}

}  // namespace
}  // namespace tandem::ipc
