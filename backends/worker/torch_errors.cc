#include "backends/worker/torch_errors.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <new>
#include <regex>
#include <vector>

namespace tandem::worker {
namespace {

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The lines of the message that people wrote. TorchScript puts two tracebacks, the model's source
// among them, before the line that names the exception; LibTorch puts a backtrace behind the
// message.
std::vector<std::string_view> MeaningfulLines(std::string_view message) {
  static constexpr std::string_view kErrorEnds[] = {"Error: ", "Exception: "};
  const std::vector<std::string_view> lines = Lines(message);
  size_t first = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view head = lines[i].substr(0, lines[i].find(' ') + 1);
    for (const std::string_view end : kErrorEnds) {
      if (head.ends_with(end)) first = i;
    }
  }
  std::vector<std::string_view> meaningful;
  for (size_t i = first; i < lines.size(); ++i) {
    const std::string_view line = Strip(lines[i]);
    if (line.starts_with("Exception raised from") || line.starts_with("frame #") ||
        line.starts_with("Traceback ") || line.starts_with("File \"")) {
      break;
    }
    if (!line.empty()) meaningful.push_back(line);
  }
  return meaningful;
}

std::string Shorten(std::string text) {
  if (text.size() <= kMaxMessageBytes) return text;
  size_t end = kMaxMessageBytes - 3;
  // Not in the middle of a UTF-8 character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

bool IsOutOfMemory(std::string_view message) {
  for (const std::string_view sign :
       {"CUDA out of memory", "can't allocate memory", "not enough memory",
        "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",
        "CUSOLVER_STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED", "std::bad_alloc"}) {
    if (message.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

absl::Status StatusOfMessage(std::string_view message) {
  if (IsOutOfMemory(message)) return absl::ResourceExhaustedError(CleanMessage(message));
  // What compiled code says is the source of the call; its reason goes to the standard error alone.
  if (message.find("API call failed") != std::string_view::npos) {
    return absl::InternalError(
        "the compiled code refuses the inputs, most likely since it was compiled for other sizes; "
        "the worker's output, in the server's log, tells which");
  }
  return absl::InternalError(CleanMessage(message));
}

}  // namespace

std::string CleanMessage(std::string_view message) {
  // A regular expression walks by recursion: what it sees is bounded first.
  std::string text;
  for (const std::string_view line : MeaningfulLines(message)) {
    if (!text.empty()) text += ' ';
    text += line;
  }
  text.resize(std::min(text.size(), 4 * kMaxMessageBytes));
  static const std::regex kEnforce(R"(^\[enforce fail at [^\]]*\] ?[^.]*\. )");
  static const std::regex kAssert(
      R"re( ?INTERNAL ASSERT FAILED at "[^"]*":\d+, please report a bug to PyTorch\.)re");
  static const std::regex kPlace(
      R"re( ?(\(|\[)?(at |in |from )?"?\.{0,2}/[\w.+~-]+/[^\s"')\]]*"?(:\d+)?(\)|\])?)re");
  static const std::regex kAddress(R"(0x[0-9a-fA-F]{4,})");
  static const std::regex kAdvice(
      R"re( ?(CUDA kernel errors might be|For debugging consider|Compile with `TORCH_USE_CUDA_DSA`|If reserved but|See documentation for).*$)re");
  text = std::regex_replace(text, kEnforce, "");
  text = std::regex_replace(text, kAssert, " (an internal check of LibTorch failed)");
  text = std::regex_replace(text, kPlace, "");
  text = std::regex_replace(text, kAddress, "(an address)");
  text = std::regex_replace(text, kAdvice, "");
  std::string_view clean = Strip(text);
  // "RuntimeError: " says nothing; the class of an exception that the model raised itself does.
  for (const std::string_view prefix : {"RuntimeError: ", "torch.jit.Error: ", "builtins."}) {
    if (clean.starts_with(prefix)) clean.remove_prefix(prefix.size());
  }
  if (clean.empty()) return "no reason was given";
  return Shorten(std::string(clean));
}

absl::Status StatusOfCurrentException() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(CleanMessage(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    return StatusOfMessage(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("there is not enough memory");
  } catch (const std::exception& error) {
    return StatusOfMessage(error.what());
  } catch (...) {
    return absl::InternalError("an exception of an unknown kind was thrown");
  }
}

}  // namespace tandem::worker
