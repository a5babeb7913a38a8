#include "core/printable.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("Printable UTF-8 stays as it is", "[printable]") {
  CHECK(Printable("") == "");
  CHECK(Printable("plain, ü, 漢, 😀") == "plain, ü, 漢, 😀");
}

TEST_CASE("Control characters become spaces and broken UTF-8 becomes question marks",
          "[printable]") {
  CHECK(Printable("a\nb\x1b[0m\x7f") == "a b [0m ");
  CHECK(Printable("\xff") == "?");
  CHECK(Printable("cut \xe6\xbc") == "cut ??");
  // An overlong slash, a surrogate, a number above the last character, and a control character of
  // two bytes.
  CHECK(Printable("\xc0\xaf") == "??");
  CHECK(Printable("\xed\xa0\x80") == "???");
  CHECK(Printable("\xf4\x90\x80\x80") == "????");
  CHECK(Printable("\xc2\x85") == "??");
}

TEST_CASE("An excerpt is cut at a character's end", "[printable]") {
  CHECK(Excerpt("short\n") == "short ");
  CHECK(Excerpt(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(Excerpt(std::string(81, 'x')) == std::string(80, 'x') + "…");
  CHECK(Excerpt(std::string(79, 'x') + "üü") == std::string(79, 'x') + "…");
  CHECK(Excerpt(std::string(200, '\xbf')) == std::string(77, '?') + "…");
}

}  // namespace
}  // namespace tandem
