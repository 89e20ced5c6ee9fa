#include <fmt/format.h>

#include <filesystem>
#include <regex>

#include "app/embedded_files.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/file.hpp"
#include "config/nearest.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view layout_suffix = ".toml";

std::vector<std::string> layouts() {
    std::vector<std::string> names;
    for (const auto& [name, text] : embedded_files()) {
        if (name.ends_with(layout_suffix))
            names.emplace_back(name.substr(0, name.size() - layout_suffix.size()));
    }
    return names;
}

std::string embedded(const std::string& name) {
    const auto found = embedded_files().find(name);
    TERRANE_ASSERT(found != embedded_files().end(), "{} is not embedded", name);
    return std::string(found->second);
}

std::string layout_text(const std::string& layout) {
    const std::vector<std::string> known = layouts();
    if (std::find(known.begin(), known.end(), layout) == known.end()) {
        const std::optional<std::string> near = config::nearest(layout, known);
        throw Error(ExitCode::usage, 103, fmt::format("there is no layout \"{}\".", layout),
                    fmt::format("{}Layouts: {}.", near ? fmt::format("Did you mean \"{}\"? ", *near) : "",
                                fmt::join(known, ", ")));
    }
    return embedded(layout + std::string(layout_suffix));
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

/// What a cluster's administrators and a job's owner decide.
struct Cluster {
    std::string partition, account, time, modules, container;
    std::int64_t nodes = 1, gpus_per_node = 4, tasks_per_node = 4, cpus_per_task = 8;
};

/// A value that goes into a line of a shell script. Throws Error E0103 if it would end there and begin
/// something else.
std::string plain(const Invocation& invocation, const std::string& option, const std::string& fallback = "") {
    const std::string text = invocation.text(option, fallback);
    static const std::regex harmless("[A-Za-z0-9_.,:/@%+= -]*");
    if (!std::regex_match(text, harmless)) {
        throw Error(ExitCode::usage, 103,
                    fmt::format("--{} \"{}\" has characters that a batch script can't take as they are.",
                                option, text),
                    "Leave it out and edit the script.");
    }
    return text;
}

std::int64_t count(const Invocation& invocation, const std::string& option, std::int64_t fallback,
                   std::int64_t least) {
    const std::int64_t value = invocation.integer(option, fallback);
    if (value < least || value > 65536) {
        throw Error(ExitCode::usage, 103,
                    fmt::format("--{} {} is not from {} to 65536.", option, value, least));
    }
    return value;
}

Cluster cluster_of(const Invocation& invocation) {
    Cluster cluster;
    cluster.partition = plain(invocation, "partition");
    cluster.account = plain(invocation, "account");
    cluster.time = plain(invocation, "time", "24:00:00");
    cluster.modules = plain(invocation, "modules");
    cluster.container = plain(invocation, "container");
    cluster.nodes = count(invocation, "nodes", cluster.nodes, 1);
    cluster.gpus_per_node = count(invocation, "gpus-per-node", cluster.gpus_per_node, 0);
    cluster.tasks_per_node =
        count(invocation, "tasks-per-node", std::max<std::int64_t>(cluster.gpus_per_node, 1), 1);
    cluster.cpus_per_task = count(invocation, "cpus-per-task", cluster.cpus_per_task, 1);
    return cluster;
}

/// slurm/preemptible.sbatch for this cluster: it serves ordinary queues as well.
std::string batch_script(const Cluster& cluster, const std::string& config) {
    std::string text = embedded("preemptible.sbatch");
    const auto set = [&](const std::string& option, const std::string& value) {
        const std::regex line("#SBATCH --" + option + "=[^\n]*\n");
        text = std::regex_replace(text, line, value.empty() ? "" : "#SBATCH --" + option + "=" + value + "\n",
                                  std::regex_constants::format_first_only);
    };
    set("nodes", std::to_string(cluster.nodes));
    set("ntasks-per-node", std::to_string(cluster.tasks_per_node));
    set("gres", cluster.gpus_per_node > 0 ? fmt::format("gpu:{}", cluster.gpus_per_node) : "");
    set("cpus-per-task", std::to_string(cluster.cpus_per_task));
    set("time", cluster.time);
    std::string own;
    if (!cluster.partition.empty()) own += "#SBATCH --partition=" + cluster.partition + "\n";
    if (!cluster.account.empty()) own += "#SBATCH --account=" + cluster.account + "\n";
    text.insert(text.find("#SBATCH"), own);
    // What slurm/job.sh reads from the environment, where that does not say otherwise.
    std::string defaults =
        fmt::format("export TERRANE=\"${{TERRANE:-{}}}\"\n", fs::read_symlink("/proc/self/exe").string());
    if (!cluster.modules.empty())
        defaults += fmt::format("export MODULES=\"${{MODULES:-{}}}\"\n", cluster.modules);
    if (!cluster.container.empty()) {
        defaults += fmt::format("export CONTAINER=\"${{CONTAINER:-{}}}\"\n", cluster.container);
    }
    text.insert(text.find("# shellcheck source"), defaults);
    const std::size_t head = text.find('\n') + 1, first = text.find("#SBATCH");
    text.replace(
        head, first - head,
        fmt::format("# Trains by {}; submit it from the folder above:  sbatch slurm/train.sbatch {}\n"
                    "# Slurm's USR1 comes 300 s before the time limit: terrane saves, and the job queues "
                    "itself again.\n",
                    config, config));
    return text;
}

ExitCode run_init(Invocation& invocation) {
    if (invocation.has("list")) {
        for (const std::string& layout : layouts()) print_line(layout);
        return ExitCode::done;
    }
    const std::string layout = invocation.text("layout", "folders");
    const fs::path folder = invocation.config().runtime.out.empty() ? "." : invocation.config().runtime.out;
    std::string text = layout_text(layout);
    const std::string data = invocation.text("data", "data");
    if (data.find_first_of("\"\\\n\r") != std::string::npos) {
        throw Error(ExitCode::usage, 103, "--data holds a quotation mark, a backslash or a line end.",
                    "Leave it out and edit the configuration.");
    }
    replace_all(text, "@DATA@", data);

    const std::string config = layout + std::string(layout_suffix);
    std::vector<std::pair<fs::path, std::string>> files{{folder / config, text}};
    const bool cluster = invocation.has("slurm");
    if (cluster) {
        files.emplace_back(folder / "slurm" / "train.sbatch", batch_script(cluster_of(invocation), config));
        files.emplace_back(folder / "slurm" / "job.sh", embedded("job.sh"));
    }
    for (const auto& [path, content] : files) {
        if (fs::exists(path) && !invocation.config().runtime.overwrite) {
            throw Error(ExitCode::cannot_create, 904, fmt::format("{} exists already.", path.string()),
                        "Name another folder with -o, or give --overwrite.");
        }
    }
    for (const auto& [path, content] : files) {
        create_folders(path.parent_path());
        write_file_atomically(path, content);
        print_line(path.string());
    }
    print_line("");
    print_line("Next, in that folder:");
    print_line(
        fmt::format("  edit {0}                              # paths, classes, split\n"
                    "  terrane config check -c {0}\n"
                    "  terrane data build -c {0}",
                    config));
    print_line(cluster ? fmt::format("  sbatch slurm/train.sbatch {}          # docs/cluster.md", config)
                       : fmt::format("  mpirun -n 4 terrane train -c {} -o runs/first", config));
    return ExitCode::done;
}

}  // namespace

extern const Verb init_verb;
const Verb init_verb = {
    .name = "init",
    .summary = "write a commented configuration for a data set's layout, and a batch script for a cluster",
    .ranks = Ranks::local,
    .config = ConfigNeed::none,
    .positional = "",
    .options =
        {{.name = "layout", .value_name = "NAME", .help = "of the data set (folders); --list names all"},
         {.name = "list", .argument = Argument::none, .value_name = "", .help = "name the layouts"},
         {.name = "data", .value_name = "FOLDER", .help = "where the data lie (data)"},
         {.name = "slurm",
          .argument = Argument::none,
          .value_name = "",
          .help = "also write slurm/train.sbatch"},
         {.name = "partition", .value_name = "NAME", .help = "with --slurm: the queue"},
         {.name = "account", .value_name = "NAME", .help = "with --slurm: who pays"},
         {.name = "nodes", .value_name = "N", .help = "with --slurm (1)"},
         {.name = "gpus-per-node", .value_name = "N", .help = "with --slurm (4); 0: train on CPUs"},
         {.name = "tasks-per-node", .value_name = "N", .help = "with --slurm: ranks (one per GPU)"},
         {.name = "cpus-per-task", .value_name = "N", .help = "with --slurm: cores of a rank (8)"},
         {.name = "time", .value_name = "D-HH:MM:SS", .help = "with --slurm: limit of a job (24:00:00)"},
         {.name = "modules", .value_name = "WORDS", .help = "with --slurm: environment modules to load"},
         {.name = "container",
          .value_name = "WORDS",
          .help = "with --slurm: what the program is started through, e.g. \"apptainer exec --nv x.sif\""}},
    .run = run_init,
};

}  // namespace terrane::app
