#include <fmt/format.h>

#include <chrono>

#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/log.hpp"
#include "synth/scene_writer.hpp"

namespace terrane::app {

namespace {

/// Says every few seconds how far the current file is.
class Progress {
  public:
    void operator()(std::string_view file, double share) {
        const auto now = std::chrono::steady_clock::now();
        if (share >= 1 || now - last_ < std::chrono::seconds(5)) return;
        last_ = now;
        log::info("{} {:.0f} %", file, 100 * share);
    }

  private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

ExitCode run_data_synth(Invocation& invocation) {
    const config::Runtime& runtime = invocation.config().runtime;
    synth::SceneOptions options;
    options.size = invocation.integer("size", options.size);
    options.seed = runtime.seed;
    if (invocation.has("rgb-labels")) options.labels = synth::LabelFiles::index_and_rgb;
    if (invocation.has("weak-labels")) options.weak_labels = synth::WeakLabels::yes;
    if (runtime.overwrite) options.existing = synth::ExistingScene::replace;
    const std::string folder = runtime.out.empty() ? "scene" : runtime.out;

    const auto start = std::chrono::steady_clock::now();
    const synth::SceneSummary summary =
        synth::write_scene(folder, options, runtime.progress == "none" ? synth::SceneProgress{} : Progress{});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    std::string text = fmt::format("{}/scene.toml  {} x {} pixels of 0.5 m, seed {}, {:.1f} s\n", folder,
                                   options.size, options.size, options.seed, seconds);
    const auto percent = [&](std::int64_t pixels) {
        return 100.0 * static_cast<double>(pixels) / static_cast<double>(summary.optical_pixels);
    };
    for (std::size_t k = 0; k < synth::land_cover_count; ++k)
        text += fmt::format("{:>3} {:<16} {:6.2f} %\n", k, synth::info(static_cast<synth::LandCover>(k)).name,
                            percent(summary.pixels[k]));
    text += fmt::format("    {:<16} {:6.2f} %\n", "not labelled", percent(summary.unlabelled));
    print_text(text);
    return ExitCode::done;
}

}  // namespace

extern const Verb data_synth_verb{
    "data synth",
    "write a synthetic scene with known truth: optical, height, SAR, labels, configuration",
    Ranks::local,
    ConfigNeed::none,
    "",
    {{"weak-labels", Argument::none, "",
      "also write scribbles, pseudo-labels and weak.toml for weak supervision", '\0', "", false},
     {"size", Argument::one, "PIXELS", "edge of the optical raster, 256 to 100000 (default 2048)", '\0', "",
      false},
     {"rgb-labels", Argument::none, "", "also write labels_rgb.tif, in the colours of the classes", '\0', "",
      false}},
    run_data_synth};

}  // namespace terrane::app
