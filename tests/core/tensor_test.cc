#include "core/tensor.h"

#include <rapidcheck.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace tandem {
namespace {

// Strings as a BYTES tensor holds them.
std::vector<std::byte> Encode(const std::vector<std::string>& strings) {
  std::vector<std::byte> bytes;
  for (const std::string& string : strings) {
    const uint32_t size = static_cast<uint32_t>(string.size());
    const size_t before = bytes.size();
    bytes.resize(before + sizeof(size) + size);
    std::memcpy(bytes.data() + before, &size, sizeof(size));
    if (size > 0) std::memcpy(bytes.data() + before + sizeof(size), string.data(), size);
  }
  return bytes;
}

// The same bytes, cut at the given places.
absl::InlinedVector<Bytes, 1> Cut(Bytes bytes, const std::vector<size_t>& sizes) {
  absl::InlinedVector<Bytes, 1> pieces;
  for (const size_t size : sizes) {
    pieces.push_back(bytes.subspan(0, std::min(size, bytes.size())));
    bytes.remove_prefix(pieces.back().size());
  }
  pieces.push_back(bytes);
  return pieces;
}

TEST_CASE("Bytes in pieces are copied in their order, however they are cut", "[core][property]") {
  CHECK(rc::check("copy", [](const std::vector<uint8_t>& values) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(values.data()), values.size());
    Tensor tensor;
    tensor.pieces =
        Cut(bytes, *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, 9)));
    RC_ASSERT(tensor.byte_size() == values.size());
    std::vector<uint8_t> copy(values.size());
    CopyBytes(tensor, reinterpret_cast<std::byte*>(copy.data()));
    RC_ASSERT(copy == values);
  }));
}

TEST_CASE("Strings are recognised however their bytes are cut", "[core][property]") {
  CHECK(rc::check("strings", [](const std::vector<std::string>& strings) {
    const std::vector<std::byte> bytes = Encode(strings);
    const auto pieces =
        Cut(bytes, *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, 9)));
    const int64_t count = static_cast<int64_t>(strings.size());
    RC_ASSERT(CheckStrings(pieces, count).ok());
    RC_ASSERT(!CheckStrings(pieces, count + 1).ok());
    if (bytes.empty()) return;
    // One byte less breaks the last string or its length.
    const Bytes shorter(bytes.data(), bytes.size() - 1);
    RC_ASSERT(!CheckStrings({shorter}, count).ok());
  }));
}

TEST_CASE("Bytes are compared however they are cut", "[core][property]") {
  CHECK(rc::check("compare", [](std::vector<uint8_t> values) {
    const auto cut = [](const std::vector<uint8_t>& whole) {
      Tensor tensor;
      tensor.pieces = Cut({reinterpret_cast<const std::byte*>(whole.data()), whole.size()},
                          *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, 9)));
      return tensor;
    };
    const Tensor one = cut(values);
    RC_ASSERT(HasEqualBytes(one, cut(values)));
    if (values.empty()) return;
    std::vector<uint8_t> other = values;
    ++other[*rc::gen::inRange<size_t>(0, other.size())];
    RC_ASSERT(!HasEqualBytes(one, cut(other)));
    other.pop_back();
    RC_ASSERT(!HasEqualBytes(one, cut(other)));
  }));
}

TEST_CASE("Strings that claim more than there is are refused", "[core]") {
  const std::vector<uint8_t> huge = {0xff, 0xff, 0xff, 0xff, 'a'};
  const Bytes bytes(reinterpret_cast<const std::byte*>(huge.data()), huge.size());
  CHECK(CheckStrings({bytes}, 1).message() == "string 0 claims 4294967295 bytes, but fewer follow");
  CHECK(CheckStrings({bytes.subspan(0, 3)}, 1).message() == "the length of string 0 is cut off");
  CHECK(CheckStrings({}, 0).ok());
  CHECK(CheckStrings({}, 1).message() == "expected 1 strings, got 0");
}

}  // namespace
}  // namespace tandem
