#include <fmt/format.h>

#include <set>

#include "app/options.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "config/registry.hpp"

namespace terrane::app {

namespace {

std::string first_words() {
    std::string words;
    std::set<std::string> seen;
    for (const Verb* verb : verbs()) {
        const std::string first = verb->name.substr(0, verb->name.find(' '));
        if (seen.insert(first).second) words += (words.empty() ? "" : " ") + first;
    }
    return words;
}

std::string options_of(const Verb& verb) {
    std::string words;
    for (const auto* options : {&verb.options, &global_options()}) {
        for (const VerbOption& option : *options) words += (words.empty() ? "--" : " --") + option.name;
    }
    return words;
}

std::string second_words(const std::string& group) {
    std::string words;
    for (const Verb* verb : verbs()) {
        if (verb->name.starts_with(group + " "))
            words += (words.empty() ? "" : " ") + verb->name.substr(group.size() + 1);
    }
    return words;
}

std::set<std::string> groups() {
    std::set<std::string> names;
    for (const Verb* verb : verbs()) {
        if (const std::size_t space = verb->name.find(' '); space != std::string::npos)
            names.insert(verb->name.substr(0, space));
    }
    return names;
}

// zsh runs the bash function through its own compatibility layer, so one script serves both.
std::string bash_script() {
    std::string text =
        "_terrane() {\n"
        "  local word=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" words=\"\"\n"
        "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
        "    words=\"" +
        first_words() + " --help --version\"\n";
    text +=
        "  elif [ \"$previous\" = -s ] || [ \"$previous\" = --set ]; then\n    compopt -o nospace "
        "2>/dev/null\n    words=\"";
    for (const std::string& key : config::all_keys()) text += key + "= ";
    text += "\"\n  else\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n";
    for (const Verb* verb : verbs()) {
        const bool two_words = verb->name.find(' ') != std::string::npos;
        text += fmt::format("      \"{}\"{}) words=\"{}\" ;;\n", two_words ? verb->name : verb->name + " ",
                            two_words ? "" : "*", options_of(*verb));
    }
    for (const std::string& group : groups()) {
        text += fmt::format("      \"{} \"*) words=\"{}\" ;;\n", group, second_words(group));
    }
    return text +
           "    esac\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
           "complete -F _terrane terrane\n";
}

std::string fish_script() {
    std::string text = fmt::format("complete -c terrane -n __fish_use_subcommand -xa '{}'\n", first_words());
    for (const std::string& group : groups()) {
        text += fmt::format(
            "complete -c terrane -n '__fish_seen_subcommand_from {}; and test (count (commandline -opc)) -eq "
            "2' -xa '{}'\n",
            group, second_words(group));
    }
    std::string keys;
    for (const std::string& key : config::all_keys()) keys += key + "= ";
    for (const VerbOption& option : global_options()) {
        const std::string letter = option.letter == '\0' ? "" : fmt::format(" -s {}", option.letter);
        const std::string value = option.name == "set"                ? fmt::format(" -xa '{}'", keys)
                                  : option.argument == Argument::none ? ""
                                                                      : " -r";
        text +=
            fmt::format("complete -c terrane -l {}{}{} -d '{}'\n", option.name, letter, value, option.help);
    }
    for (const Verb* verb : verbs()) {
        const std::string last = verb->name.substr(verb->name.rfind(' ') + 1);
        for (const VerbOption& option : verb->options) {
            text +=
                fmt::format("complete -c terrane -n '__fish_seen_subcommand_from {}' -l {}{} -d '{}'\n", last,
                            option.name, option.argument == Argument::none ? "" : " -r", option.help);
        }
    }
    return text;
}

ExitCode run_completion(Invocation& invocation) {
    const std::string shell = invocation.positional().size() == 1 ? invocation.positional()[0] : "";
    if (shell == "bash") {
        print_text(bash_script());
    } else if (shell == "zsh") {
        print_text("autoload -U +X bashcompinit && bashcompinit\n" + bash_script());
    } else if (shell == "fish") {
        print_text(fish_script());
    } else {
        throw Error(ExitCode::usage, 104, "'terrane completion' takes the name of one shell.",
                    "Write bash, zsh or fish: source <(terrane completion bash).");
    }
    return ExitCode::done;
}

}  // namespace

extern const Verb completion_verb{
    "completion",  "print completion code for bash, zsh or fish", Ranks::local, ConfigNeed::none, "SHELL", {},
    run_completion};

}  // namespace terrane::app
