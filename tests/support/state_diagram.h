// Draws a state machine's table, and finds the drawings in a document. Free functions, thread-safe.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/transitions.h"

namespace tandem {

// In Mermaid's words, from the first row's state on.
template <typename State, typename Event>
std::string StateDiagram(absl::Span<const Transition<State, Event>> table) {
  std::string text = "```mermaid\nstateDiagram-v2\n";
  absl::StrAppend(&text, "  [*] --> ", Name(table.front().from), "\n");
  for (const auto& row : table) {
    absl::StrAppend(&text, "  ", Name(row.from), " --> ", Name(row.to), ": ", Name(row.on), "\n");
  }
  return text + "```\n";
}

// The text of docs/faults.md.
inline std::string FaultsDocument() {
  std::ifstream stream(TANDEM_SOURCE_DIR "/docs/faults.md");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace tandem
