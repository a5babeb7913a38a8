#include "client/completion.h"

#include <CLI/CLI.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace tandem::client {
namespace {

struct OptionWords {
  // As typed: "--target", "-o".
  std::vector<std::string> names;
  std::string description;
  bool takes_value = false;
  // The words that it takes; empty where it takes any.
  std::vector<std::string> values;
};

struct CommandWords {
  std::string name;
  std::string description;
  std::vector<OptionWords> options;
  // The words that its positional argument takes, if it takes only some.
  std::vector<std::string> values;
};

// CLI::IsMember describes itself as "{a,b,c}" within the option's type name.
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return absl::StrSplit(type.substr(open + 1, close - open - 1), ',');
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

CommandWords Describe(const CLI::App& app) {
  CommandWords words{app.get_name(), FirstLine(app.get_description()), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    OptionWords entry;
    for (const std::string& name : option->get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) entry.names.push_back("--" + name);
    if (entry.names.empty()) {
      words.values = ChoicesOf(*option);
      continue;
    }
    entry.description = FirstLine(option->get_description());
    entry.takes_value = option->get_items_expected_max() > 0;
    entry.values = ChoicesOf(*option);
    words.options.push_back(std::move(entry));
  }
  return words;
}

std::vector<CommandWords> DescribeCommands(const CLI::App& app) {
  std::vector<CommandWords> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_name().empty() && !command->get_group().empty()) {
      commands.push_back(Describe(*command));
    }
  }
  return commands;
}

std::string NamesOf(const CommandWords& command) {
  std::vector<std::string> names = command.values;
  for (const OptionWords& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return absl::StrJoin(names, " ");
}

std::string JoinCommandNames(const std::vector<CommandWords>& commands) {
  return absl::StrJoin(commands, " ", [](std::string* out, const CommandWords& command) {
    out->append(command.name);
  });
}

// The arms of `case "$command $previous" in` that complete the value of an option.
std::string BashValueArms(const std::vector<CommandWords>& commands) {
  std::string arms;
  for (const CommandWords& command : commands) {
    for (const OptionWords& option : command.options) {
      if (!option.takes_value) continue;
      const std::string patterns =
          absl::StrJoin(option.names, "|", [&command](std::string* out, const std::string& name) {
            absl::StrAppend(out, "'", command.name, " ", name, "'");
          });
      const std::string reply =
          option.values.empty() ? "$(compgen -f -- \"$current\")"
                                : absl::StrCat("$(compgen -W '", absl::StrJoin(option.values, " "),
                                               "' -- \"$current\")");
      absl::StrAppend(&arms, "    ", patterns, ") COMPREPLY=(", reply, "); return ;;\n");
    }
  }
  return arms;
}

std::string BashScript(const CommandWords& program_words,
                       const std::vector<CommandWords>& commands) {
  const std::string& program = program_words.name;
  std::string script = absl::StrCat(
      "# bash completion for ", program, ": source it, for example from ~/.bashrc:\n#   source <(",
      program, " completion bash)\n_", program, "() {\n",
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n",
      "  local command=${COMP_WORDS[1]-}\n", "  COMPREPLY=()\n",
      "  if ((COMP_CWORD == 1)); then\n    COMPREPLY=($(compgen -W '", JoinCommandNames(commands),
      " ", NamesOf(program_words), "' -- \"$current\"))\n    return\n  fi\n",
      "  case \"$command $previous\" in\n", BashValueArms(commands), "  esac\n",
      "  case \"$command\" in\n");
  for (const CommandWords& command : commands) {
    absl::StrAppend(&script, "    '", command.name, "') COMPREPLY=($(compgen -W '",
                    NamesOf(command), "' -- \"$current\")) ;;\n");
  }
  absl::StrAppend(&script, "  esac\n}\ncomplete -o default -F _", program, " ", program, "\n");
  return script;
}

std::string ZshText(const std::string& text) {
  return absl::StrReplaceAll(text, {{"'", ""}, {"[", "("}, {"]", ")"}, {":", " -"}});
}

std::string ZshScript(const CommandWords& program_words,
                      const std::vector<CommandWords>& commands) {
  const std::string& program = program_words.name;
  std::string script = absl::StrCat("#compdef ", program, "\n# zsh completion for ", program,
                                    ": source it after compinit, or save it as _", program,
                                    " in a folder of $fpath.\n_", program,
                                    "() {\n  if ((CURRENT == 2)); then\n    local -a commands=(\n");
  for (const CommandWords& command : commands) {
    absl::StrAppend(&script, "      '", command.name, ":", ZshText(command.description), "'\n");
  }
  for (const OptionWords& option : program_words.options) {
    for (const std::string& name : option.names) {
      absl::StrAppend(&script, "      '", name, ":", ZshText(option.description), "'\n");
    }
  }
  absl::StrAppend(&script, "    )\n    _describe command commands\n    return\n  fi\n",
                  "  local command=$words[2]\n  shift words\n  ((CURRENT--))\n",
                  "  case $command in\n");
  for (const CommandWords& command : commands) {
    absl::StrAppend(&script, "    ", command.name, ")\n      _arguments");
    for (const OptionWords& option : command.options) {
      const std::string value =
          !option.takes_value ? ""
          : option.values.empty()
              ? ":value:_files"
              : absl::StrCat(":value:(", absl::StrJoin(option.values, " "), ")");
      for (const std::string& name : option.names) {
        absl::StrAppend(&script, " \\\n        '*", name, "[", ZshText(option.description), "]",
                        value, "'");
      }
    }
    const std::string rest = command.values.empty()
                                 ? "_files"
                                 : absl::StrCat("(", absl::StrJoin(command.values, " "), ")");
    absl::StrAppend(&script, " \\\n        '*:argument:", rest, "' ;;\n");
  }
  absl::StrAppend(&script, "  esac\n}\nif [[ $funcstack[1] == _", program, " ]]; then\n  _",
                  program, " \"$@\"\nelse\n  compdef _", program, " ", program, "\nfi\n");
  return script;
}

std::string FishText(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// " -s h -l help -d '…'", and what its value may be.
std::string FishOption(const OptionWords& option) {
  std::string words;
  for (const std::string& name : option.names) {
    const size_t dashes = name[1] == '-' ? 2 : 1;
    absl::StrAppend(&words, dashes == 2 ? " -l " : " -s ", name.substr(dashes));
  }
  if (option.takes_value) absl::StrAppend(&words, " -r");
  if (!option.values.empty()) {
    absl::StrAppend(&words, " -f -a ", FishText(absl::StrJoin(option.values, " ")));
  }
  return absl::StrCat(words, " -d ", FishText(option.description), "\n");
}

std::string FishScript(const CommandWords& program_words,
                       const std::vector<CommandWords>& commands) {
  const std::string& program = program_words.name;
  std::string script =
      absl::StrCat("# fish completion for ", program, ": ", program,
                   " completion fish > ~/.config/fish/completions/", program, ".fish\n");
  for (const OptionWords& option : program_words.options) {
    absl::StrAppend(&script, "complete -c ", program, " -n __fish_use_subcommand",
                    FishOption(option));
  }
  for (const CommandWords& command : commands) {
    absl::StrAppend(&script, "complete -c ", program, " -n __fish_use_subcommand -f -a ",
                    command.name, " -d ", FishText(command.description), "\n");
    const std::string seen = absl::StrCat("complete -c ", program,
                                          " -n '__fish_seen_subcommand_from ", command.name, "'");
    for (const OptionWords& option : command.options) {
      absl::StrAppend(&script, seen, FishOption(option));
    }
    if (!command.values.empty()) {
      absl::StrAppend(&script, seen, " -f -a ", FishText(absl::StrJoin(command.values, " ")), "\n");
    }
  }
  return script;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell) {
  const std::vector<CommandWords> commands = DescribeCommands(app);
  CommandWords program = Describe(app);
  if (program.name.empty()) program.name = "tandem";
  if (shell == "bash") return BashScript(program, commands);
  if (shell == "zsh") return ZshScript(program, commands);
  if (shell == "fish") return FishScript(program, commands);
  return absl::InvalidArgumentError(
      absl::StrCat("no completion for the shell \"", shell, "\": it is one of bash, zsh, fish"));
}

}  // namespace tandem::client
