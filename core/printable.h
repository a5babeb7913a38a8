// Text of unknown origin, made fit for people: what a worker, a model or a client wrote. Pure
// function, thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace tandem {

// The text with everything replaced that is not printable UTF-8: control characters by spaces,
// bytes that are no character by question marks.
std::string Printable(std::string_view text);

// The same, cut after about 80 bytes, at a character's end: what a message quotes of a text that
// may be long.
std::string Excerpt(std::string_view text);

}  // namespace tandem
