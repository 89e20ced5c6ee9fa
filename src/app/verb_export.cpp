#include <cctype>

#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/file.hpp"
#include "train/model_bundle.hpp"
#include "train/model_export.hpp"
#include "train/model_files.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

fs::path output_of(const config::Runtime& runtime) {
    if (runtime.out.empty()) {
        throw Error(ExitCode::usage, 105, "export needs -o: the file that it shall write.",
                    "For example -o model.safetensors or -o model.onnx.");
    }
    if (fs::exists(runtime.out) && !runtime.overwrite) {
        throw Error(ExitCode::cannot_create, 901, fmt::format("{} exists already.", runtime.out),
                    "Give another name, or --overwrite.");
    }
    const fs::path path = fs::path(runtime.out).lexically_normal();
    return path.has_filename() ? path : path.parent_path();
}

std::string format_of(const Invocation& invocation, const fs::path& path) {
    const std::string extension = path.extension().string();
    const std::string format = invocation.text("format", extension.empty() ? extension : extension.substr(1));
    if (format == "safetensors" || format == "onnx" || format == "bundle") return format;
    throw Error(ExitCode::usage, 103,
                fmt::format("\"{}\" is no format that weights are exported to.", format),
                "Use a name that ends in .safetensors or .onnx, or give --format safetensors, onnx or bundle "
                "(a folder).");
}

/// The item's id: letters, digits, '.', '_' and '-'.
std::string bundle_name(const fs::path& folder) {
    std::string name = folder.filename().string();
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_') c = '-';
    }
    return name;
}

ExitCode run_export(Invocation& invocation) {
    if (invocation.positional().size() != 1) {
        throw Error(ExitCode::usage, 104, "export takes one checkpoint or file of weights.",
                    "For example: terrane export runs/first/ckpt/best -o model.safetensors");
    }
    const fs::path path = output_of(invocation.config().runtime);
    const std::string format = format_of(invocation, path);
    const fs::path model = train::model_file_of(invocation.positional()[0]);
    const fs::path temporary = path.string() + ".tmp";
    std::string what;
    if (format == "safetensors") {
        what = fmt::format("{} tensors in PyTorch's layout", train::export_for_pytorch(model, temporary));
    }
    const std::int64_t size = invocation.integer("size", 0);
    const train::OnnxSizes sizes{invocation.integer("batch", 1), size, size};
    if (format == "bundle") {
        fs::remove_all(temporary);
        try {
            train::export_bundle(model, temporary, bundle_name(path), sizes);
        } catch (...) {
            std::error_code ignored;
            fs::remove_all(temporary, ignored);
            throw;
        }
        fs::remove_all(path);  // only --overwrite comes here with something to remove
        what = "weights, network and their STAC item (item.json)";
    }
    if (format == "onnx") {
        train::export_onnx(model, temporary, sizes);
        what = "the network for inference, operator set 17";
    }
    publish_by_rename(temporary, path);
    print_line(fmt::format("{}: {}", path.string(), what));
    return ExitCode::done;
}

}  // namespace

extern const Verb export_verb;
const Verb export_verb = {
    .name = "export",
    .summary =
        "weights for PyTorch (.safetensors), the network for inference (.onnx), or a folder of both with a "
        "STAC "
        "item",
    .ranks = Ranks::local,
    .config = ConfigNeed::optional,
    .positional = "CHECKPOINT",
    .options = {{.name = "format",
                 .value_name = "NAME",
                 .help = "safetensors, onnx, bundle; default: by the ending of -o"},
                {.name = "batch", .value_name = "N", .help = "onnx: samples per run; default 1"},
                {.name = "size",
                 .value_name = "PIXELS",
                 .help = "onnx: edge of the inputs; default: the training crop"}},
    .run = run_export,
};

}  // namespace terrane::app
