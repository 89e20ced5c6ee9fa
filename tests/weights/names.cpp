// Which tensor goes where, by names and shapes alone.
#include <algorithm>

#include "support/catch.hpp"
#include "torch_bytes.hpp"
#include "weights/import_plan.hpp"
#include "weights/positions.hpp"

using namespace terrane;
using namespace terrane::weights;

namespace {

using Entries = std::vector<TensorFile::Entry>;
using Targets = std::vector<ImportTarget>;

void add(Entries& entries, const std::string& name, const Shape& shape) {
    entries.push_back({name, {DType::f32, shape}});
}

/// Name of the source that a target gets; "" if none.
std::string source_of(const ImportPlan& plan, const Entries& entries, const std::string& target) {
    for (const ImportItem& item : plan.items) {
        if (plan.targets[item.target].name == target) return entries[item.sources[0]].name;
    }
    return "";
}

const ImportItem& item_of(const ImportPlan& plan, const std::string& target) {
    const auto found = std::find_if(plan.items.begin(), plan.items.end(), [&](const ImportItem& item) {
        return plan.targets[item.target].name == target;
    });
    REQUIRE(found != plan.items.end());
    return *found;
}

/// Two blocks of a vision transformer of eight channels as terrane calls them.
Targets transformer(const std::string& prefix, const std::string& perceptron) {
    Targets targets{{prefix + "pos_embed", {1, 16, 8}},
                    {prefix + "patch_embed.proj.weight", {8, 4, 4, 3}},
                    {prefix + "patch_embed.proj.bias", {8}}};
    for (const char* block : {"blocks.0.", "blocks.1."}) {
        const std::string name = prefix + block;
        for (const char* norm : {"norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"}) {
            targets.push_back({name + norm, {8}});
        }
        targets.push_back({name + "attn.qkv.weight", {24, 8}});
        targets.push_back({name + "attn.qkv.bias", {24}});
        targets.push_back({name + "attn.proj.weight", {8, 8}});
        targets.push_back({name + "attn.proj.bias", {8}});
        targets.push_back({name + perceptron + ".fc1.weight", {32, 8}});
        targets.push_back({name + perceptron + ".fc1.bias", {32}});
        targets.push_back({name + perceptron + ".fc2.weight", {8, 32}});
        targets.push_back({name + perceptron + ".fc2.bias", {8}});
    }
    return targets;
}

/// The same as timm calls it, behind a prefix.
Entries timm_file(const std::string& prefix) {
    Entries entries;
    for (const ImportTarget& target : transformer(prefix, "mlp")) {
        const Shape& s = target.shape;
        add(entries, target.name, s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s);
    }
    add(entries, prefix + "cls_token", {1, 1, 8});
    add(entries, prefix + "norm.weight", {8});
    add(entries, prefix + "head.weight", {1000, 8});
    return entries;
}

}  // namespace

TEST_CASE("a timm file fills a vision transformer whatever its prefixes and the name of its perceptron",
          "[weights]") {
    for (const std::string prefix : {"", "module.", "module.backbone.", "encoder.", "model.transformer."}) {
        for (const std::string own : {"", "backbone."}) {
            const Entries file = timm_file(prefix);
            const ImportPlan plan = plan_import(file, transformer(own, "ffn"), {});
            INFO(prefix << " into " << own);
            CHECK(plan.missing.empty());
            CHECK(plan.unexpected.size() == 3);
            CHECK(source_of(plan, file, own + "blocks.1.ffn.fc2.weight") ==
                  prefix + "blocks.1.mlp.fc2.weight");
        }
    }
}

TEST_CASE("queries, keys and values that a file keeps apart are joined in this order", "[weights]") {
    Entries file = timm_file("");
    std::erase_if(file, [](const auto& entry) { return entry.name.find("qkv") != std::string::npos; });
    for (const char* block : {"blocks.0.", "blocks.1."}) {
        for (const char* part : {"v", "q", "k"}) {
            add(file, std::string(block) + "attn." + part + ".weight", {8, 8});
            add(file, std::string(block) + "attn." + part + ".bias", {8});
        }
    }
    const ImportPlan plan = plan_import(file, transformer("", "mlp"), {});
    CHECK(plan.missing.empty());
    const ImportItem& item = item_of(plan, "blocks.1.attn.qkv.weight");
    REQUIRE(item.sources.size() == 3);
    CHECK(file[item.sources[0]].name == "blocks.1.attn.q.weight");
    CHECK(file[item.sources[1]].name == "blocks.1.attn.k.weight");
    CHECK(file[item.sources[2]].name == "blocks.1.attn.v.weight");
}

TEST_CASE("a ResNet fills the encoder of every modality; other bands and heads are reported", "[weights]") {
    Targets targets;
    for (const char* modality : {"encoder.optical.", "encoder.height."}) {
        const std::string name = modality;
        targets.push_back({name + "conv1.weight", {8, 7, 7, name == "encoder.height." ? 1 : 3}});
        targets.push_back({name + "layer1.0.conv1.weight", {8, 3, 3, 8}});
        targets.push_back({name + "layer1.0.bn1.running_mean", {8}});
    }
    targets.push_back({"classifier.weight", {6, 1, 1, 8}});
    Entries file;
    add(file, "conv1.weight", {8, 3, 7, 7});
    add(file, "layer1.0.conv1.weight", {8, 8, 3, 3});
    add(file, "layer1.0.bn1.running_mean", {8});
    add(file, "layer1.0.bn1.num_batches_tracked", {});
    add(file, "classifier.weight", {21, 8, 1, 1});
    const ImportPlan plan = plan_import(file, targets, {});
    CHECK(plan.items.size() == 6);
    CHECK(item_of(plan, "encoder.optical.conv1.weight").fit == Fit::same);
    CHECK(item_of(plan, "encoder.height.conv1.weight").fit == Fit::extended);
    CHECK(plan.missing == std::vector<std::string>{"classifier.weight"});
    REQUIRE(plan.skipped.size() == 1);
    CHECK(plan.skipped[0].target == "classifier.weight");
    CHECK(plan.unexpected.empty());
    CHECK_FALSE(plan.loaded_names().contains("classifier.weight"));
    CHECK(plan.loaded_names().contains("encoder.height.layer1.0.bn1.running_mean"));
}

TEST_CASE("an inner convolution is never extended to other channels", "[weights]") {
    Entries file;
    add(file, "layer1.0.conv1.weight", {8, 4, 3, 3});
    const ImportPlan plan = plan_import(file, {{"layer1.0.conv1.weight", {8, 3, 3, 8}}}, {});
    CHECK(plan.items.empty());
    CHECK(plan.skipped.size() == 1);
}

TEST_CASE("numbers arrive in terrane's layout, with bands by timm's rule or zeros, and layer scales folded",
          "[weights]") {
    // Two filters of three bands, two pixels each: filter 10 f + band + pixel / 4.
    std::vector<float> filters;
    for (int f = 0; f < 2; ++f) {
        for (int band = 0; band < 3; ++band) {
            for (int pixel = 0; pixel < 2; ++pixel) {
                filters.push_back(static_cast<float>(10 * f + band) + 0.25f * static_cast<float>(pixel));
            }
        }
    }
    using namespace terrane::test;
    const std::string code = "}(" + text("conv1.weight") +
                             tensor(storage("FloatStorage", "0", 12), 0, {2, 3, 1, 2}, {6, 2, 2, 1}) +
                             text("flat") + "Nu";
    const auto file = open_bytes(archive(pickle(code), {{"0", floats(filters)}}));
    const auto values = [&](std::int64_t bands, BandExtension method) {
        ImportOptions options;
        options.bands = method;
        const ImportPlan plan = plan_import(*file, {{"conv1.weight", {2, 1, 2, bands}}}, options);
        REQUIRE(plan.items.size() == 1);
        const std::vector<float> all = import_values(*file, plan, plan.items[0]);
        // The second filter's first pixel.
        return std::vector<float>(all.begin() + 2 * bands, all.begin() + 3 * bands);
    };
    CHECK(values(3, BandExtension::repeat) == std::vector<float>{10, 11, 12});
    CHECK(values(5, BandExtension::zero) == std::vector<float>{10, 11, 12, 0, 0});
    CHECK(values(2, BandExtension::repeat) == std::vector<float>{15, 16.5f});
    CHECK(values(1, BandExtension::repeat) == std::vector<float>{33});
    const std::vector<float> six_bands = values(6, BandExtension::repeat);
    CHECK(six_bands == std::vector<float>{5, 5.5f, 6, 5, 5.5f, 6});

    const std::string block = "blocks.0.";
    const std::string scaled =
        "}(" + text(block + "norm1.weight") + tensor(storage("FloatStorage", "0", 12), 0, {2}, {1}) +
        text(block + "attn.proj.weight") + tensor(storage("FloatStorage", "0", 12), 0, {2, 2}, {2, 1}) +
        text(block + "gamma_1") + tensor(storage("FloatStorage", "0", 12), 2, {2}, {2}) + "u";
    const auto beit = open_bytes(archive(pickle(scaled), {{"0", floats(filters)}}));
    const ImportPlan plan =
        plan_import(*beit, {{block + "norm1.weight", {2}}, {block + "attn.proj.weight", {2, 2}}}, {});
    CHECK(plan.unexpected.empty());
    CHECK(import_values(*beit, plan, item_of(plan, block + "attn.proj.weight")) ==
          std::vector<float>{0 * 1, 0.25f * 1, 1 * 2, 1.25f * 2});
}

TEST_CASE("positions: a constant stays constant, a ramp a ramp, tokens are kept, dropped or zero",
          "[weights]") {
    CHECK(position_grid(196).edge == 14);
    CHECK(position_grid(196).extra == 0);
    CHECK(position_grid(197).extra == 1);
    CHECK(position_grid(198).extra == 2);
    std::vector<float> table{-7};  // one token before a grid of 4 x 4 whose values are the column
    for (int i = 0; i < 16; ++i) table.push_back(static_cast<float>(i % 4));
    for (const PositionResize method : {PositionResize::bilinear, PositionResize::bicubic}) {
        const std::vector<float> same = resize_positions(table, 1, 17, method);
        CHECK(same == table);
        const std::vector<float> larger = resize_positions(table, 1, 64, method);
        REQUIRE(larger.size() == 64);
        // Away from the borders column x is at (x + 0.5) / 2 - 0.5.
        // Bicubic with a = -0.75 bends a ramp a little, but symmetrically.
        CHECK(larger[3 * 8 + 3] == Approx(method == PositionResize::bilinear ? 1.25 : 1.296875));
        CHECK(larger[3 * 8 + 3] + larger[3 * 8 + 4] == Approx(3));
        const std::vector<float> with_tokens = resize_positions(table, 1, 18, method);
        CHECK(with_tokens[0] == -7);
        CHECK(with_tokens[1] == 0);
        CHECK(with_tokens[3] == 1);
    }
}
