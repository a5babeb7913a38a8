// How a scripted worker treats a model: what the parameters `load` and `run` of the model can say.
// Values.
#pragma once

#include <map>
#include <string>

namespace tandem::testing {

// For `load`, "echo" and "" load; "fail" gives a reason with control characters; "crash" ends the
// worker; "hang" never answers, nor does "close_socket", which closes the control socket besides;
// "bad_signature" tells a tensor of too many dimensions; "eat" takes 512 MiB of memory and loads,
// "eat_and_fail" fails then; "notes" tells more, and longer, notes than are taken, with control
// characters; "unasked" tells of a handle that nobody gave.
//
// For `run`, "echo" and "" return the inputs under their names, and these return them and one thing
// that is wrong: unknown_batch, twice, bad_slot, reused_slot, no_outputs, bad_status,
// record_outside, huge_record, tensor_outside, bad_strings. "fail" answers INVALID_ARGUMENT with a
// text, "long_error" with one that is too long, "fail_silently" with none. "crash", "exit", "hang",
// "spin" (which uses a CPU), "corrupt_tail" (of the completion ring), "nonsense", "empty_frame",
// "huge_frame" and "flood" (on the control socket) give no answer. "toil" echoes after half a
// second of a CPU's time. "shrink" tries to take the shared memory away, and echoes where it
// cannot.
struct Behaviour {
  std::string load;
  std::string run;
};

template <typename Parameters>
Behaviour BehaviourOf(const Parameters& parameters) {
  Behaviour behaviour;
  for (const auto& [key, value] : parameters) {
    if (key == "load") behaviour.load = value;
    if (key == "run") behaviour.run = value;
  }
  return behaviour;
}

}  // namespace tandem::testing
