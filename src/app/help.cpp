#include <fmt/format.h>

#include <algorithm>

#include "app/options.hpp"
#include "config/registry.hpp"

namespace terrane::app {

namespace {

std::string option_line(const VerbOption& option) {
    const std::string letter = option.letter == '\0' ? "    " : fmt::format("-{}, ", option.letter);
    const std::string value = option.argument == Argument::none ? "" : " " + option.value_name;
    std::string help = option.help;
    if (option.argument == Argument::many) help += " (repeatable)";
    if (option.required) help += " (required)";
    if (!option.key.empty()) {
        const config::Option* known = config::find_option(option.key);
        if (known != nullptr && !known->allowed.empty() && known->allowed.size() > 1) {
            help += fmt::format(": {}", fmt::join(known->allowed, ", "));
        }
    }
    return fmt::format("  {}--{:<26} {}\n", letter, option.name + value, help);
}

}  // namespace

std::string general_help() {
    std::string text =
        "terrane trains, evaluates and applies multimodal remote-sensing segmentation networks.\n\n"
        "usage: terrane VERB [options]        terrane VERB --help for the options of a verb\n"
        "       mpirun -n 4 terrane VERB ...  ranks share the work\n\nverbs:\n";
    for (const Verb* verb : verbs()) text += fmt::format("  {:<15} {}\n", verb->name, verb->summary);
    text += "\nglobal options:\n";
    for (const VerbOption& option : global_options()) text += option_line(option);
    return text +
           "\nexit codes: 0 done, 1 internal error, 2 usage, 65 data invalid, 66 input missing, 69 no usable "
           "device or MPI,\n73/74 output can't be created or written, 75 stopped early with a checkpoint, "
           "78 config invalid, 80 diverged,\n81 --fail-under not met, 82 peer lost\n";
}

std::string help_of(const Verb& verb) {
    std::string text = fmt::format("{}\n\nusage: terrane {}{}{} [options]\n", verb.summary, verb.name,
                                   verb.config == ConfigNeed::required ? " -c FILE" : "",
                                   verb.positional.empty() ? "" : " " + verb.positional + "...");
    if (!verb.options.empty()) text += "\noptions:\n";
    for (const VerbOption& option : verb.options) text += option_line(option);
    text += "\nglobal options:\n";
    for (const VerbOption& option : global_options()) text += option_line(option);
    return text;
}

}  // namespace terrane::app
