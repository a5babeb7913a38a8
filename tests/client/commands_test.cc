#include "client/commands.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "client/completion.h"
#include "client/exit_code.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

struct Program {
  Program() { AddClientCommands(app, exit_code); }
  int Run(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return exit_code;
  }

  CLI::App app{"Tandem", "tandem"};
  int exit_code = -1;
};

TEST_CASE("Completion knows every command and option", "[client]") {
  Program program;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    INFO(shell);
    const auto script = CompletionScript(program.app, shell);
    REQUIRE(script.ok());
    for (const char* word : {"predict", "infer", "chaos", "models", "status", "completion",
                             "dataset", "merge-policy", "all partial", "majority_vote"}) {
      INFO(word);
      CHECK(script->find(word) != std::string::npos);
    }
  }
  CHECK(absl::IsInvalidArgument(CompletionScript(program.app, "tcsh").status()));
}

TEST_CASE("bash completes commands, options and their words", "[client]") {
  const ScratchFolder folder;
  Program program;
  folder.Write("script", *CompletionScript(program.app, "bash"));
  const auto complete = [&folder](const std::string& words, int word) {
    const std::string command = "bash -c '. " + folder.Path("script") + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=" + std::to_string(word) +
                                "; _tandem; echo ${COMPREPLY[@]}' > " + folder.Path("reply");
    REQUIRE(std::system(command.c_str()) == 0);
    return folder.Read("reply");
  };
  CHECK(complete("tandem pre", 1) == "predict\n");
  CHECK(complete("tandem predict --data", 2) == "--dataset\n");
  CHECK(complete("tandem predict --merge-policy p", 3) == "partial\n");
  CHECK(complete("tandem completion f", 2) == "fish\n");
}

TEST_CASE("A word that is no command is answered with the commands", "[client]") {
  Program program;
  const absl::Status status = CheckCommand(program.app, "bogus");
  CHECK(absl::IsInvalidArgument(status));
  const std::string message(status.message());
  CHECK(message.find("no such command 'bogus'") == 0);
  CHECK(message.find("predict, infer, bench, chaos, models, status") != std::string::npos);
  for (const char* word : {"predict", "version", "--help", "-h", ""}) {
    INFO(word);
    CHECK(CheckCommand(program.app, word).ok());
  }
}

TEST_CASE("The exit code tells bad usage from a server that is not there", "[client]") {
  // Port 1 is nobody's.
  CHECK(Program().Run({"status", "--target", "127.0.0.1:1"}) == kExitUnreachable);
  CHECK(Program().Run({"infer", "m", "--input", "[1]", "--target", "127.0.0.1:1"}) ==
        kExitUnreachable);
  CHECK(Program().Run({"infer", "m", "--input", "nonsense"}) == kExitUsage);
  CHECK(Program().Run({"predict", "--input", "[1]"}) == kExitUsage);
  CHECK(Program().Run({"predict", "--models", "m"}) == kExitUsage);
  CHECK_THROWS_AS(Program().Run({"predict", "--models", "m", "--batch", "4"}), CLI::ParseError);
  CHECK_THROWS_AS(Program().Run({"predict", "--models", "m", "--merge-policy", "some"}),
                  CLI::ParseError);
}

}  // namespace
}  // namespace tandem::client
