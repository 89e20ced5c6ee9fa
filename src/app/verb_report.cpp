#include <fmt/format.h>

#include <filesystem>

#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/file.hpp"
#include "report/html_report.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

ExitCode run_report(Invocation& invocation) {
    const std::vector<std::string>& folders = invocation.positional();
    if (folders.empty()) {
        throw Error(ExitCode::usage, 105, "report needs the folder of a run.",
                    "Name one or several: terrane report runs/first runs/second -o compared.html");
    }
    std::vector<report::RecordedRun> runs;
    for (const std::string& folder : folders) runs.push_back(report::read_run(folder));
    const std::string& out = invocation.config().runtime.out;
    if (out.empty() && folders.size() > 1) {
        throw Error(ExitCode::usage, 105, "a report about several runs needs the name of its file.",
                    "Add -o FILE.html");
    }
    const fs::path file = out.empty() ? fs::path(folders[0]) / "report.html" : fs::path(out);
    write_file_atomically(file, report::html_report(runs));
    print_line(fmt::format("{}: {} {}", file.string(), runs.size(), runs.size() == 1 ? "run" : "runs"));
    return ExitCode::done;
}

}  // namespace

extern const Verb report_verb{
    "report",     "write one HTML page about runs: scores, curves, confusion, pictures (-o FILE)",
    Ranks::local, ConfigNeed::optional,
    "RUN",        {},
    run_report};

}  // namespace terrane::app
