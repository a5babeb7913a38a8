#include "server/wire_split.h"

#include <rapidcheck.h>

#include <string>

#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr uint32_t kRawInputs = inference::ModelInferRequest::kRawInputContentsFieldNumber;

std::vector<Bytes> Cut(const std::string& text, size_t size) {
  std::vector<Bytes> pieces;
  for (size_t at = 0; at < text.size(); at += size) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data() + at);
    pieces.push_back(Bytes(data, std::min(size, text.size() - at)));
  }
  return pieces;
}

std::string Join(const Pieces& pieces) {
  std::string text;
  for (const Bytes& piece : pieces) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

}  // namespace

TEST_CASE("Raw contents come out of a message whole, wherever its slices are cut", "[wire_split]") {
  inference::ModelInferRequest request = RawRequest({1, 2, 3});
  request.add_raw_input_contents("second");
  request.add_raw_input_contents("");
  const std::string text = request.SerializeAsString();
  for (size_t cut = 1; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    const auto split = SplitRawContents(Cut(text, cut), kRawInputs);
    REQUIRE(split.ok());
    REQUIRE(split->raw.size() == 3);
    CHECK(Join(split->raw[0]) == request.raw_input_contents(0));
    CHECK(Join(split->raw[1]) == "second");
    CHECK(Join(split->raw[2]).empty());
    inference::ModelInferRequest rest;
    REQUIRE(rest.ParseFromString(Join(split->rest)));
    CHECK(rest.inputs_size() == 1);
    CHECK(rest.raw_input_contents_size() == 0);
  }
}

TEST_CASE("Raw contents are borrowed from the message, not copied", "[wire_split]") {
  const std::string text = RawRequest(std::vector<float>(1000, 1.0F)).SerializeAsString();
  const auto split = SplitRawContents(Cut(text, text.size()), kRawInputs);
  REQUIRE(split.ok());
  REQUIRE(split->raw[0].size() == 1);
  const auto* data = reinterpret_cast<const char*>(split->raw[0][0].data());
  CHECK(data >= text.data());
  CHECK(data + split->raw[0][0].size() <= text.data() + text.size());
}

TEST_CASE("A field cut off, a length too long and a group are malformed", "[wire_split]") {
  const std::string malformed[] = {
      "\x3a",  // A tag alone.
      "\x3a\x05"
      "abc",                                           // Fewer bytes than the length says.
      "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  // A length of 2^64 - 1.
      "\x0b\x0c",                                      // A group.
      std::string("\x00\x00", 2),                      // Field 0.
      std::string(12, '\xff'),                         // A varint without an end.
  };
  for (const std::string& text : malformed) {
    CAPTURE(text);
    CHECK(absl::IsInvalidArgument(SplitRawContents(Cut(text, 3), kRawInputs).status()));
  }
}

TEST_CASE("A message with more fields than any client sends is refused", "[wire_split]") {
  std::string raw;
  for (size_t i = 0; i <= kMaxRawContents; ++i) raw += std::string("\x3a\x00", 2);
  CHECK(absl::IsInvalidArgument(SplitRawContents(Cut(raw, 4096), kRawInputs).status()));
  std::string fields;
  for (size_t i = 0; i <= kMaxTopFields; ++i) fields += std::string("\x2a\x00", 2);
  CHECK(absl::IsInvalidArgument(SplitRawContents(Cut(fields, 4096), kRawInputs).status()));
}

TEST_CASE("Any bytes split without harm, and what splits keeps every byte", "[wire_split]") {
  CHECK(rc::check([](const std::string& text) {
    const size_t size = *rc::gen::inRange<size_t>(1, 9);
    const auto split = SplitRawContents(Cut(text, size), kRawInputs);
    if (!split.ok()) return;
    size_t bytes = 0;
    for (const Bytes& piece : split->rest) bytes += piece.size();
    for (const Pieces& raw : split->raw) bytes += Join(raw).size();
    // Each raw field also had a tag of one byte and a length of at least one.
    RC_ASSERT(bytes + 2 * split->raw.size() <= text.size());
  }));
}

}  // namespace tandem::server
