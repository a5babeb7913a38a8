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
  // Behind a flag comes no value of it.
  CHECK(complete("tandem status --json --t", 3) == "--target --timeout\n");
  CHECK(complete("tandem --v", 1) == "--version\n");
}

TEST_CASE("fish is told which options take a value", "[client]") {
  Program program;
  const std::string script = *CompletionScript(program.app, "fish");
  const auto has = [&script](const std::string& line) {
    return script.find("\ncomplete -c tandem -n " + line) != std::string::npos;
  };
  CHECK(has("__fish_use_subcommand -s h -l help -d "));
  CHECK(has("__fish_use_subcommand -l version -d "));
  CHECK(has("'__fish_seen_subcommand_from status' -s h -l help -d "));
  CHECK(has("'__fish_seen_subcommand_from status' -l json -d "));
  CHECK(has("'__fish_seen_subcommand_from status' -l target -r -d "));
  CHECK(has("'__fish_seen_subcommand_from predict' -s o -l output -r -d "));
}

TEST_CASE("A word that is no command is answered with the commands", "[client]") {
  Program program;
  const absl::Status status = CheckCommand(program.app, "bogus");
  CHECK(absl::IsInvalidArgument(status));
  const std::string message(status.message());
  CHECK(message.find("no such command 'bogus'") == 0);
  CHECK(message.find("predict, infer, bench, chaos, models, status") != std::string::npos);
  CHECK(CheckCommand(program.app, "").message().find("give a command; the commands are ") == 0);
  CHECK(CheckCommand(program.app, "--bogus").message().find("no such option '--bogus'") == 0);
  for (const char* word : {"predict", "version", "--help", "-h", "--version"}) {
    INFO(word);
    CHECK(CheckCommand(program.app, word).ok());
  }
}

TEST_CASE("A model to tune is named, not pointed at", "[client]") {
  const ScratchFolder folder;
  CHECK(Program().Run({"tune", "models/m", "--model-repository", folder.Path("")}) == kExitUsage);
}

TEST_CASE("A server without a name is bad usage", "[client]") {
  CHECK_THROWS_AS(Program().Run({"status", "--target", ""}), CLI::ValidationError);
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
  for (const char* timeout : {"0.0005", "1e-9", "-1", "nan", "1e7", "100us", ""}) {
    INFO(timeout);
    CHECK_THROWS_AS(Program().Run({"status", "--target", "127.0.0.1:1", "--timeout", timeout}),
                    CLI::ParseError);
  }
  for (const char* timeout : {"0", "1e6"}) {
    INFO(timeout);
    CHECK(Program().Run({"status", "--target", "127.0.0.1:1", "--timeout", timeout}) ==
          kExitUnreachable);
  }
  // A time that may be over before it is known that nobody is there.
  const int code = Program().Run({"status", "--target", "127.0.0.1:1", "--timeout", "0.001"});
  CHECK((code == kExitUnreachable || code == kExitFailed));
  CHECK_THROWS_AS(Program().Run({"predict", "--models", "m", "--merge-policy", "some"}),
                  CLI::ParseError);
}

}  // namespace
}  // namespace tandem::client
