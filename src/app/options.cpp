#include "app/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <sstream>

#include "config/convert.hpp"
#include "config/node.hpp"
#include "config/registry.hpp"

namespace terrane::app {

namespace po = boost::program_options;

namespace {

[[noreturn]] void usage_error(int number, const std::string& message, const std::string& fix) {
    throw Error(ExitCode::usage, number, message, fix);
}

// H:MM:SS, as Slurm writes limits, in seconds.
std::string seconds_of(const std::string& text) {
    std::int64_t parts[3] = {0, 0, 0};
    const char* position = text.data();
    const char* const end = text.data() + text.size();
    for (int i = 0; i < 3; ++i) {
        const auto [next, failure] = std::from_chars(position, end, parts[i]);
        const bool separated = i == 2 ? next == end : next != end && *next == ':';
        if (failure != std::errc{} || !separated || parts[i] < 0 || parts[i] > 1000000 ||
            (i > 0 && parts[i] > 59)) {
            usage_error(103, fmt::format("--max-time takes H:MM:SS, but was given \"{}\".", text),
                        "Write 11:50:00 for ten minutes less than twelve hours.");
        }
        position = next + (i < 2 ? 1 : 0);
    }
    return fmt::format("{}.0", parts[0] * 3600 + parts[1] * 60 + parts[2]);
}

// PyTorch's scripts and launchers write --local_rank and --master_port.
std::vector<std::string> with_dashes(const std::vector<std::string>& arguments,
                                     const std::vector<VerbOption>& options) {
    std::vector<std::string> words = arguments;
    for (std::string& word : words) {
        if (!word.starts_with("--")) continue;
        const std::size_t end = std::min(word.find('='), word.size());
        std::string name = word.substr(2, end - 2);
        std::replace(name.begin(), name.end(), '_', '-');
        const auto known = [&](const VerbOption& option) { return option.name == name; };
        if (std::any_of(options.begin(), options.end(), known)) word = "--" + name + word.substr(end);
    }
    return words;
}

std::vector<VerbOption> all_options(const Verb& verb) {
    std::vector<VerbOption> options = verb.options;
    options.insert(options.end(), global_options().begin(), global_options().end());
    return options;
}

po::options_description describe(const std::vector<VerbOption>& options) {
    po::options_description description;
    for (const VerbOption& option : options) {
        const std::string name =
            option.letter == '\0' ? option.name : fmt::format("{},{}", option.name, option.letter);
        if (option.argument == Argument::none) {
            description.add_options()(name.c_str(), "");
            continue;
        }
        auto* value = po::value<std::vector<std::string>>()->composing();
        if (option.name == "deterministic") value->implicit_value({"run"}, "run");
        description.add_options()(name.c_str(), value, "");
    }
    return description;
}

std::vector<std::string> names_of(const std::vector<VerbOption>& options) {
    std::vector<std::string> names;
    for (const VerbOption& option : options) names.push_back("--" + option.name);
    return names;
}

// "0,2" as a TOML array; what is no number in it is for the conversion to refuse.
std::string list_of(const std::string& text) {
    std::vector<std::string> items;
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
        const bool plain = !word.empty() && word.find_first_not_of("+-0123456789") == std::string::npos;
        items.push_back(plain ? word : config::toml_string(word));
    }
    return fmt::format("[{}]", fmt::join(items, ","));
}

// A text option takes its value as it stands; for the others it is a TOML literal, a list without brackets.
config::Assignment assignment(const VerbOption& option, const std::string& value) {
    const config::Option* known = config::find_option(option.key);
    TERRANE_ASSERT(known != nullptr, "--{} stands for the unknown key {}", option.name, option.key);
    std::string literal = value;
    if (known->kind == config::ValueKind::text) literal = config::toml_string(value);
    if (known->kind == config::ValueKind::integers && !value.starts_with('[')) literal = list_of(value);
    return {option.key, literal, "--" + option.name};
}

config::Assignment parse_set(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        usage_error(103, fmt::format("--set takes key=value, but was given \"{}\".", text),
                    "Example: -s train.epochs=5");
    }
    return {text.substr(0, equals), text.substr(equals + 1), "--set " + text.substr(0, equals)};
}

const Verb& find_verb(const std::vector<std::string>& arguments, std::size_t& words) {
    std::vector<std::string> names;
    std::vector<std::string> children;
    for (const Verb* verb : verbs()) {
        names.push_back(verb->name);
        const std::size_t space = verb->name.find(' ');
        if (space == std::string::npos) {
            words = 1;
            if (verb->name == arguments[0]) return *verb;
            continue;
        }
        if (verb->name.substr(0, space) != arguments[0]) continue;
        children.push_back(verb->name.substr(space + 1));
        words = 2;
        if (arguments.size() > 1 && children.back() == arguments[1]) return *verb;
    }
    if (!children.empty()) {
        const bool second = arguments.size() > 1 && !arguments[1].starts_with('-');
        std::string fix = second ? config::did_you_mean(arguments[1], children) : "";
        if (fix.empty()) fix = fmt::format("Choose one of: {}.", fmt::join(children, ", "));
        usage_error(101,
                    second ? fmt::format("\"{} {}\" is no verb.", arguments[0], arguments[1])
                           : fmt::format("\"{}\" needs a second word.", arguments[0]),
                    fix);
    }
    std::string fix = config::did_you_mean(arguments[0], names);
    if (fix.empty()) fix = "'terrane --help' lists the verbs.";
    usage_error(101, fmt::format("\"{}\" is no verb.", arguments[0]), fix);
}

po::variables_map parse_options(const Verb& verb, const std::vector<VerbOption>& options,
                                const std::vector<std::string>& arguments,
                                std::vector<std::string>& positional) {
    po::options_description description = describe(options);
    description.add_options()("positional-arguments", po::value<std::vector<std::string>>(&positional), "");
    po::positional_options_description places;
    places.add("positional-arguments", -1);
    po::variables_map values;
    try {
        // Guessing an option from its beginning would give a mistyped one a silent meaning.
        po::store(po::command_line_parser(arguments)
                      .options(description)
                      .positional(places)
                      .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                      .run(),
                  values);
        po::notify(values);
    } catch (const po::unknown_option& unknown) {
        std::string fix = config::did_you_mean(unknown.get_option_name(), names_of(options));
        if (fix.empty()) fix = fmt::format("'terrane {} --help' lists the options.", verb.name);
        usage_error(102, fmt::format("'terrane {}' has no option {}.", verb.name, unknown.get_option_name()),
                    fix);
    } catch (const po::error& reason) {
        usage_error(103, fmt::format("{}.", reason.what()),
                    fmt::format("'terrane {} --help' lists the options.", verb.name));
    }
    return values;
}

}  // namespace

const std::vector<VerbOption>& global_options() {
    static const std::vector<VerbOption> options = {
        {"config", Argument::many, "FILE", "configuration in TOML; later files win", 'c', "", false},
        {"set", Argument::many, "KEY=VALUE", "one value of the configuration; wins over everything", 's', "",
         false},
        {"out", Argument::one, "PATH", "output file or folder", 'o', "runtime.out", false},
        {"overwrite", Argument::none, "", "replace existing output", '\0', "runtime.overwrite", false},
        {"dry-run", Argument::none, "", "resolve, open the data, plan the memory, estimate, exit", '\0',
         "runtime.dry_run", false},
        {"verbose", Argument::none, "", "also show debugging messages", 'v', "", false},
        {"quiet", Argument::none, "", "show warnings and errors only", 'q', "", false},
        {"log-format", Argument::one, "FORMAT", "form of messages", '\0', "runtime.log_format", false},
        {"progress", Argument::one, "KIND", "progress display", '\0', "runtime.progress", false},
        {"threads", Argument::one, "N", "threads of a rank; 0: its share of the cores", '\0',
         "runtime.threads", false},
        {"ram", Argument::one, "MB", "memory a rank may use; 0: 80 % of its share of the free memory", '\0',
         "runtime.ram", false},
        {"seed", Argument::one, "N", "seed of every random number", '\0', "runtime.seed", false},
        {"deterministic", Argument::one, "[LEVEL]",
         "run: equal bits for equal ranks and threads (the default); ranks: also for other numbers of ranks",
         '\0', "runtime.deterministic", false},
        {"device", Argument::one, "NAME", "where to compute", '\0', "runtime.device", false},
        {"collective-timeout", Argument::one, "SECONDS", "a collective that takes longer ends the job", '\0',
         "runtime.collective_timeout", false},
        {"heartbeat-timeout", Argument::one, "SECONDS", "a rank that is silent for longer is lost", '\0',
         "runtime.heartbeat_timeout", false},
        {"async-errors", Argument::one, "MODE",
         "what ranks do when another is lost or stuck: off, abort-and-exit, abort, exit"},
        {"launcher", Argument::one, "NAME", "what started the ranks", '\0', "runtime.launcher", false},
        {"master-port", Argument::one, "PORT", "where ranks without MPI meet", '\0', "runtime.master_port",
         false},
        {"dist-url", Argument::one, "URL", "the same: env://, tcp://HOST:PORT, file:///PATH or mpi://", '\0',
         "runtime.dist_url", false},
        {"distributed", Argument::none, "", "one rank without a launcher is a world of ranks, too"},
        {"world-size", Argument::one, "N", "refuse to run if the launcher started another number of ranks"},
        {"local-rank", Argument::one, "N", "LOCAL_RANK where that is not set; -1: not given"},
        {"gpu-ids", Argument::one, "N[,N...]", "the GPUs that the ranks of a host take, among those in sight",
         '\0', "runtime.gpu_ids", false},
        {"trace-barriers", Argument::none, "", "every rank says when it comes to and leaves a collective"},
        {"dist-debug", Argument::one, "LEVEL", "off, info or detail: what ranks tell and compare", '\0',
         "runtime.dist_debug", false},
        {"max-time", Argument::one, "H:MM:SS", "stop with a checkpoint after this long", '\0',
         "runtime.max_time", false},
        {"help", Argument::none, "", "show this text", 'h', "", false},
        {"version", Argument::none, "", "show the version", '\0', "", false},
    };
    return options;
}

Command parse_command_line(const std::vector<std::string>& arguments) {
    Command command;
    const auto is_help = [](const std::string& word) {
        return word == "--help" || word == "-h" || word == "help";
    };
    if (arguments.empty()) usage_error(101, "no verb is given.", "'terrane --help' lists the verbs.");
    if (is_help(arguments[0])) {
        command.answer = general_help();
        return command;
    }
    if (arguments[0] == "--version") {
        command.answer = fmt::format("terrane {}\n", version());
        return command;
    }
    std::size_t words = 1;
    const Verb& verb = find_verb(arguments, words);
    const std::vector<VerbOption> options = all_options(verb);
    const std::vector<std::string> rest =
        with_dashes({arguments.begin() + static_cast<std::ptrdiff_t>(words), arguments.end()}, options);
    const po::variables_map values = parse_options(verb, options, rest, command.parsed.positional);
    if (values.count("help") > 0) command.answer = help_of(verb);
    if (values.count("version") > 0) command.answer = fmt::format("terrane {}\n", version());
    if (!command.answer.empty()) return command;

    command.verb = &verb;
    command.parsed.command = arguments;
    if (verb.positional.empty() && !command.parsed.positional.empty()) {
        usage_error(
            104,
            fmt::format("'terrane {}' takes no argument \"{}\".", verb.name, command.parsed.positional[0]),
            fmt::format("'terrane {} --help' lists the options.", verb.name));
    }
    for (const VerbOption& option : options) {
        if (values.count(option.name) == 0) {
            if (option.required) {
                usage_error(105, fmt::format("'terrane {}' needs --{}.", verb.name, option.name),
                            fmt::format("It means: {}.", option.help));
            }
            continue;
        }
        std::vector<std::string> given{""};
        if (option.argument != Argument::none) given = values[option.name].as<std::vector<std::string>>();
        if (option.argument == Argument::one && given.size() > 1) {
            usage_error(103, fmt::format("--{} is given {} times.", option.name, given.size()),
                        "Give it once.");
        }
        if (option.name == "config") {
            command.config_files = given;
        } else if (option.name == "set") {
            for (const std::string& text : given) command.sets.push_back(parse_set(text));
        } else if (option.name == "verbose" || option.name == "quiet") {
            const std::string level = option.name == "verbose" ? "\"debug\"" : "\"warning\"";
            command.named.push_back({"runtime.log_level", level, "--" + option.name});
        } else if (option.name == "local-rank") {
            command.local_rank = given[0];  // not the same on all ranks
        } else if (option.name == "max-time") {
            command.named.push_back({option.key, seconds_of(given[0]), "--max-time"});
        } else if (!option.key.empty()) {
            const std::string value = option.argument == Argument::none ? "true" : given[0];
            command.named.push_back(assignment(option, value));
        } else {
            command.parsed.values[option.name] = given;
        }
    }
    if (verb.config == ConfigNeed::none && (!command.config_files.empty() || !command.sets.empty())) {
        usage_error(104, fmt::format("'terrane {}' takes neither -c nor --set.", verb.name),
                    "Leave them out.");
    }
    if (verb.config == ConfigNeed::required && command.config_files.empty()) {
        usage_error(105, fmt::format("'terrane {}' needs a configuration.", verb.name),
                    "Give it with -c FILE.");
    }
    return command;
}

}  // namespace terrane::app
