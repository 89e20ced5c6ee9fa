#include "app/network_inputs.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/file.hpp"
#include "train/model_import.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

fs::path output_of(const config::Runtime& runtime) {
    if (runtime.out.empty()) {
        throw Error(ExitCode::usage, 105, "import needs -o: the file that it shall write.",
                    "For example -o weights.safetensors, or --dry-run for the report alone.");
    }
    const fs::path path = runtime.out;
    if (fs::exists(path) && !runtime.overwrite) {
        throw Error(ExitCode::cannot_create, 901, fmt::format("{} exists already.", path.string()),
                    "Give another name, or --overwrite.");
    }
    return path;
}

ExitCode run_import(Invocation& invocation) {
    if (invocation.positional().size() != 1) {
        throw Error(ExitCode::usage, 104, "import takes one file.",
                    "For example: terrane import resnet50.pth -o w.safetensors -c scene.toml");
    }
    config::Config config = invocation.config();
    config.model.name = invocation.text("model", config.model.name);
    const bool writes = !config.runtime.dry_run;
    const fs::path path = writes ? output_of(config.runtime) : fs::path();
    const fs::path report = invocation.text("report");

    const auto file = weights::open_tensor_file(invocation.positional()[0], {config.import_rules.part});
    const graph::Graph graph = nets::build_network(config.model, config.loss, network_inputs(invocation),
                                                   nets::Task::train, DType::f32);
    const weights::ImportPlan plan =
        train::plan_model_import(config.import_rules, *file, train::import_targets(graph));
    for (const std::string& line : plan.lines()) print_line(line);
    if (!report.empty()) write_file_atomically(report, plan.to_json() + "\n");
    if (writes) {
        const fs::path temporary = path.string() + ".tmp";
        train::write_imported(temporary, *file, plan);
        publish_by_rename(temporary, path);
        print_line(fmt::format("written     {}", path.string()));
    }
    return ExitCode::done;
}

std::vector<VerbOption> import_options() {
    std::vector<VerbOption> options = network_input_options();
    options.push_back({.name = "model", .value_name = "NAME", .help = "architecture (model.name)"});
    options.push_back({.name = "part",
                       .value_name = "KEY",
                       .help = "where in a .pth file the weights lie (import.part)",
                       .key = "import.part"});
    options.push_back({.name = "report", .value_name = "FILE", .help = "also write the report as JSON"});
    return options;
}

}  // namespace

extern const Verb import_verb;
const Verb import_verb = {
    .name = "import",
    .summary = "foreign weights (.pth, .safetensors) under the network's names, with a report",
    .ranks = Ranks::local,
    .config = ConfigNeed::optional,
    .positional = "FILE",
    .options = import_options(),
    .run = run_import,
};

}  // namespace terrane::app
