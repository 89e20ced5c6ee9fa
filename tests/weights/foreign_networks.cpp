// Files with exactly the names of other projects, into the networks that terrane builds.
#include <algorithm>
#include <map>

#include "nets/network.hpp"
#include "project_names.hpp"
#include "support/catch.hpp"
#include "torch_bytes.hpp"
#include "train/model_import.hpp"

using namespace terrane;
using namespace terrane::test;
using weights::ImportItem;
using weights::ImportPlan;

namespace {

constexpr std::int64_t classes = 3;

/// What torch.save makes of a dictionary of these tensors. All of them are views of one storage that holds
/// 0, 1, 2, ...; tensor number i begins at i, so that its first number says which tensor it is.
std::string dictionary_of(const ProjectNames& names) {
    std::int64_t longest = 0;
    for (const auto& one : names.tensors()) longest = std::max(longest, one.elements());
    const auto count = static_cast<std::int64_t>(names.tensors().size());
    std::string code = "}(";
    for (std::int64_t i = 0; i < count; ++i) {
        const auto& one = names.tensors()[static_cast<std::size_t>(i)];
        std::vector<std::int64_t> strides(one.sizes.size(), 1);
        for (std::size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * one.sizes[d];
        code += text(one.name) + tensor(storage("FloatStorage", "0", longest + count), i, one.sizes, strides);
    }
    return code + "u";
}

std::unique_ptr<weights::TensorFile> file_of(const ProjectNames& names, const std::string& code) {
    std::int64_t longest = 0;
    for (const auto& one : names.tensors()) longest = std::max(longest, one.elements());
    std::vector<float> numbers(static_cast<std::size_t>(longest) + names.tensors().size());
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
    return open_bytes(archive(pickle(code), {{"0", floats(numbers)}}));
}

std::unique_ptr<weights::TensorFile> file_of(const ProjectNames& names) {
    return file_of(names, dictionary_of(names));
}

std::vector<weights::ImportTarget> targets_of(const config::Model& model, std::int64_t size = 64) {
    const std::string height = model.name == "pkdiff" ? "dsm" : "";
    nets::NetworkInputs inputs{
        .modalities = {{"optical", 3, 1}}, .classes = classes, .batch = 1, .height = size, .width = size};
    if (!height.empty()) inputs.modalities.push_back({height, 1, 1});
    return train::import_targets(nets::build_network(model, {}, inputs, nets::Task::train, DType::f32));
}

config::Model called(const std::string& name) {
    config::Model model;
    model.name = name;
    model.vit = {.depth = 4, .width = 24, .heads = 3};
    model.encoder_width = 4;
    return model;
}

/// Name of the network's tensor -> name of the file's whose numbers it got.
std::map<std::string, std::string> pairs(const weights::TensorFile& file, const ProjectNames& names,
                                         const ImportPlan& plan) {
    std::map<std::string, std::string> result;
    for (const ImportItem& item : plan.items) {
        const auto first = static_cast<std::size_t>(import_values(file, plan, item).front());
        result[plan.targets[item.target].name] = names.tensors().at(first).name;
    }
    return result;
}

struct Project {
    std::string title;
    ProjectNames names;
    config::Model model;
};

std::vector<Project> projects_with_our_names() {
    config::Model fudan = called("setr_mla");
    return {{"VesselSETR", vessel_setr({}, classes), called("setr_light")},
            {"SETR-MLA of its authors", fudan_setr({}, classes), fudan},
            {"PSPNet", mmseg_pspnet(4, classes), called("pspnet")},
            {"DeepLabV3", mmseg_deeplabv3(4, classes), called("deeplabv3")},
            {"PKDiff", pkdiff(4, classes), called("pkdiff")}};
}

/// The key under which a training program keeps its weights, with what lies beside them.
std::string wrapped(const std::string& key, const std::string& dictionary) {
    if (key.empty()) return dictionary;
    return "}(" + text("epoch") + integer(7) + text(key) + dictionary + text("optimizer") +
           entry("param_groups", "]") + text("best") + integer(1) + "u";
}

}  // namespace

TEST_CASE("files of projects whose names are ours load one to one, however they are wrapped", "[weights]") {
    for (const Project& project : projects_with_our_names()) {
        const auto targets = targets_of(project.model);
        for (const char* key : {"", "state_dict", "model_state_dict", "model", "teacher"}) {
            for (const std::string prefix : {"", "module."}) {
                INFO(project.title << " under \"" << key << "\" with prefix \"" << prefix << "\"");
                const ProjectNames names =
                    project.names.renamed([&](const std::string& name) { return prefix + name; });
                const auto file = file_of(names, wrapped(key, dictionary_of(names)));
                const ImportPlan plan = train::plan_model_import({}, *file, targets);
                CHECK(plan.missing.empty());
                CHECK(plan.unexpected.empty());
                CHECK(plan.skipped.empty());
                CHECK(plan.items.size() == targets.size());
                if (*key != '\0' && prefix.empty()) continue;  // the numbers once with and once without
                for (const auto& [ours, theirs] : pairs(*file, names, plan)) CHECK(theirs == prefix + ours);
            }
        }
    }
}

TEST_CASE("MMSegmentation's SETR loads one to one, its levels in our order", "[weights]") {
    config::Model model = called("setr_mla");
    model.vit.head = "mmseg";
    const ProjectNames names = mmseg_setr({}, classes);
    const auto file = file_of(names, wrapped("state_dict", dictionary_of(names)));
    const ImportPlan plan = train::plan_model_import({}, *file, targets_of(model));
    CHECK(plan.missing.empty());
    CHECK(plan.unexpected.empty());
    CHECK(plan.family == "SETR-MLA (mmseg)");
    const auto found = pairs(*file, names, plan);
    const auto from = [&](const std::string& ours) { return found.at(ours); };
    CHECK(from("backbone.cls_token") == "backbone.cls_token");
    CHECK(from("backbone.pos_embed") == "backbone.pos_embed");
    CHECK(from("backbone.patch_embed.proj.weight") == "backbone.patch_embed.projection.weight");
    const std::map<std::string, std::string> within_blocks{{"norm1.weight", "ln1.weight"},
                                                           {"norm2.bias", "ln2.bias"},
                                                           {"attn.qkv.weight", "attn.attn.in_proj_weight"},
                                                           {"attn.qkv.bias", "attn.attn.in_proj_bias"},
                                                           {"attn.proj.weight", "attn.attn.out_proj.weight"},
                                                           {"mlp.fc1.bias", "ffn.layers.0.0.bias"},
                                                           {"mlp.fc2.weight", "ffn.layers.1.weight"}};
    for (const auto& [ours, theirs] : within_blocks) {
        CHECK(from("backbone.blocks.3." + ours) == "backbone.layers.3." + theirs);
    }
    // The projections count from the shallowest tap, everything behind them from the deepest.
    for (int level = 0; level < 4; ++level) {
        const std::string ours = std::to_string(level + 2), at = std::to_string(level);
        const std::string turned = std::to_string(3 - level);
        CHECK(from("backbone.norm_" + at + ".weight") == "neck.norm." + at + ".weight");
        CHECK(from("backbone.mla.mla_p" + ours + "_1x1.0.weight") ==
              "neck.mla.channel_proj." + at + ".conv.weight");
        CHECK(from("backbone.mla.mla_p" + ours + "_1x1.1.running_var") ==
              "neck.mla.channel_proj." + at + ".bn.running_var");
        CHECK(from("backbone.mla.mla_p" + ours + ".0.weight") ==
              "neck.mla.feat_extract." + turned + ".conv.weight");
        CHECK(from("backbone.mla.mla_p" + ours + ".1.bias") ==
              "neck.mla.feat_extract." + turned + ".bn.bias");
        const std::string head = "decode_head.mlahead.head" + ours;
        CHECK(from(head + ".0.weight") == "decode_head.up_convs." + turned + ".0.conv.weight");
        CHECK(from(head + ".1.weight") == "decode_head.up_convs." + turned + ".0.bn.weight");
        CHECK(from(head + ".3.weight") == "decode_head.up_convs." + turned + ".1.conv.weight");
        CHECK(from(head + ".4.running_mean") == "decode_head.up_convs." + turned + ".1.bn.running_mean");
        CHECK(from("auxiliary_head." + at + ".conv_seg.bias") ==
              "auxiliary_head." + turned + ".conv_seg.bias");
    }
    CHECK(from("decode_head.conv_seg.weight") == "decode_head.conv_seg.weight");
}

TEST_CASE("classifiers that SETR's heads inherit and never use are reported, and nothing else", "[weights]") {
    ProjectNames names = fudan_setr({}, classes);
    names.convolution("decode_head.conv_seg", classes, 512, 1, ProjectNames::Bias::yes);
    const auto file = file_of(names);
    const ImportPlan plan = train::plan_model_import({}, *file, targets_of(called("setr_mla")));
    CHECK(plan.missing.empty());
    CHECK(plan.unexpected ==
          std::vector<std::string>{"decode_head.conv_seg.bias", "decode_head.conv_seg.weight"});
}

TEST_CASE("a checkpoint of CDSP fills res50_aspp_lorm, whatever its version calls the module", "[weights]") {
    config::Loss loss;
    loss.terms.emplace_back().name = "rectification";
    const nets::NetworkInputs inputs{
        .modalities = {{"optical", 3, 1}}, .classes = classes, .batch = 2, .height = 64, .width = 64};
    const auto targets = train::import_targets(
        nets::build_network(called("res50_aspp_lorm"), loss, inputs, nets::Task::train, DType::f32));
    const ProjectNames own = cdsp(4, classes);
    for (const std::string module : {"layer_camatt.", "layer_lorm."}) {
        const ProjectNames names = own.renamed([&](const std::string& name) {
            const bool renamed = name.starts_with("layer_camatt.");
            return "module." + (renamed ? module + name.substr(13) : name);
        });
        const auto file = file_of(names);
        const ImportPlan plan = train::plan_model_import({}, *file, targets);
        CHECK(plan.missing.empty());
        CHECK(plan.unexpected.empty());
        const auto found = pairs(*file, names, plan);
        CHECK(found.at("layer_camatt.key_conv.bias") == "module." + module + "key_conv.bias");
        CHECK(found.at("layer4.2.conv2.weight") == "module.layer4.2.conv2.weight");
        CHECK(found.at("layer_pred0.global_avg_pool.2.running_var") ==
              "module.layer_pred0.global_avg_pool.2.running_var");
    }
}

TEST_CASE("a checkpoint of CDSP fills a network of its names, and as an encoder any other", "[weights]") {
    const ProjectNames own = cdsp(4, classes);
    const ProjectNames names = own.renamed([](const std::string& name) { return "module." + name; });
    const auto file =
        file_of(names, "}(" + text("epoch") + integer(50) + text("state_dict") + dictionary_of(names) +
                           text("best_pred") + integer(1) + text("optimizer") + entry("state", "}") + "u");
    std::vector<weights::ImportTarget> targets;
    for (const auto& one : own.tensors()) {
        if (one.name.ends_with("num_batches_tracked")) continue;
        const auto& s = one.sizes;
        targets.push_back({one.name, s.size() == 4 ? Shape{s[0], s[2], s[3], s[1]} : Shape{s[0]}});
    }
    const ImportPlan plan = train::plan_model_import({}, *file, targets);
    CHECK(plan.missing.empty());
    CHECK(plan.unexpected.empty());
    for (const auto& [ours, theirs] : pairs(*file, names, plan)) CHECK(theirs == "module." + ours);

    config::Model model = called("pspnet");
    model.pyramid.stem = "single";
    const ImportPlan encoder = train::plan_model_import({}, *file, targets_of(model));
    for (const std::string& name : encoder.missing) {
        CHECK((name.starts_with("decode_head.") || name.starts_with("auxiliary_head.")));
    }
    for (const std::string& name : encoder.unexpected) CHECK(name.starts_with("module.layer_"));
    CHECK(pairs(*file, names, encoder).at("backbone.layer4.2.bn3.running_var") ==
          "module.layer4.2.bn3.running_var");

    // Its last convolution ends in conv1 too, but its inputs are no bands.
    for (weights::ImportTarget& target : targets) {
        if (target.name == "layer_pred0.conv1.weight") target.shape = {classes, 1, 1, 4 * classes};
    }
    const ImportPlan narrower = train::plan_model_import({}, *file, targets);
    CHECK(narrower.missing == std::vector<std::string>{"layer_pred0.conv1.weight"});
}

TEST_CASE("encoders are found behind every prefix, alone or in a row", "[weights]") {
    const auto targets = targets_of(called("setr_light"));
    for (const std::string prefix : {"module.", "backbone.", "encoder.", "transformer.", "module.encoder.",
                                     "module.backbone.transformer."}) {
        INFO(prefix);
        const ProjectNames names =
            timm_vision_transformer({}).renamed([&](const std::string& name) { return prefix + name; });
        const auto file = file_of(names, wrapped("teacher", dictionary_of(names)));
        const ImportPlan plan = train::plan_model_import({}, *file, targets);
        for (const std::string& name : plan.missing) {
            CHECK((name.starts_with("mla_projs.") || name.starts_with("decoder.") ||
                   name.starts_with("head.")));
        }
        const auto found = pairs(*file, names, plan);
        CHECK(found.at("blocks.2.ffn.fc1.weight") == prefix + "blocks.2.mlp.fc1.weight");
        CHECK(found.at("norm.bias") == prefix + "norm.bias");
    }
}

TEST_CASE("patch weights that early files keep flat become the same filters", "[weights]") {
    const auto values = [](const ProjectNames& names) {
        const auto file = file_of(names);
        const ImportPlan plan = train::plan_model_import({}, *file, targets_of(called("setr_light")));
        for (const ImportItem& item : plan.items) {
            if (plan.targets[item.target].name == "patch_embed.proj.weight")
                return import_values(*file, plan, item);
        }
        return std::vector<float>{};
    };
    const ProjectNames whole = timm_vision_transformer({});
    ProjectNames flat;
    for (const auto& one : whole.tensors()) {
        flat.tensor(one.name, one.name == "patch_embed.proj.weight"
                                  ? std::vector<std::int64_t>{one.sizes[0], one.elements() / one.sizes[0]}
                                  : one.sizes);
    }
    const std::vector<float> expected = values(whole);
    CHECK(expected.size() == 24 * 16 * 16 * 3);
    CHECK(values(flat) == expected);
}

TEST_CASE("separate queries, keys and values, and layer scales, are taken and reported", "[weights]") {
    const ProjectNames whole = timm_vision_transformer({});
    ProjectNames names;
    for (const auto& one : whole.tensors()) {
        const std::size_t at = one.name.find("qkv");
        if (at == std::string::npos) {
            names.tensor(one.name, one.sizes);
            continue;
        }
        std::vector<std::int64_t> third = one.sizes;
        third[0] /= 3;
        for (const char* part : {"k", "v", "q"}) {
            names.tensor(one.name.substr(0, at) + part + one.name.substr(at + 3), third);
        }
    }
    for (const char* block : {"0", "1", "2", "3"}) {
        names.tensor(std::string("blocks.") + block + ".gamma_1", {24});
        names.tensor(std::string("blocks.") + block + ".gamma_2", {24});
    }
    const auto file = file_of(names);
    const ImportPlan plan = train::plan_model_import({}, *file, targets_of(called("setr_light")));
    CHECK(plan.unexpected == std::vector<std::string>{"cls_token"});
    const std::vector<std::string> lines = plan.lines();
    const auto line = [&](const std::string& word) {
        const auto found =
            std::find_if(lines.begin(), lines.end(), [&](const auto& one) { return one.starts_with(word); });
        return found == lines.end() ? "" : *found;
    };
    CHECK_THAT(line("joined"),
               test::contains("joined      8, from queries, keys and values: blocks.0.attn.qkv.bias"));
    CHECK_THAT(line("scaled"), test::contains("scaled      16, by the file's layer scales"));
    CHECK_THAT(plan.to_json(), test::contains("\"scaled\": [\n    \"blocks.0.attn.proj.weight\","));
    for (const ImportItem& item : plan.items) {
        if (item.fit != weights::Fit::joined) continue;
        REQUIRE(item.sources.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            const std::string& source = file->tensors()[item.sources[i]].name;
            CHECK(source.find(std::string("attn.") + "qkv"[i] + ".") != std::string::npos);
        }
    }
}

TEST_CASE("class tokens are dropped, kept or left out, and positions follow them", "[weights]") {
    const auto loaded = [](const ProjectNames& names, const std::string& network, const std::string& name) {
        const auto file = file_of(names);
        const ImportPlan plan = train::plan_model_import({}, *file, targets_of(called(network)));
        for (const ImportItem& item : plan.items) {
            if (plan.targets[item.target].name == name) return import_values(*file, plan, item);
        }
        return std::vector<float>{};
    };
    const ProjectNames one = timm_vision_transformer({});
    ProjectNames two;  // DeiT's second token, for distillation
    for (const auto& tensor : one.tensors()) {
        two.tensor(tensor.name,
                   tensor.name == "pos_embed" ? std::vector<std::int64_t>{1, 18, 24} : tensor.sizes);
    }
    two.tensor("dist_token", {1, 1, 24});
    // Row r of the file's table begins with 1 + 24 r: it is the second tensor.
    for (const auto& [names, tokens] : {std::pair{&one, 1}, std::pair{&std::as_const(two), 2}}) {
        const std::vector<float> without = loaded(*names, "setr_light", "pos_embed");
        REQUIRE(without.size() == 16 * 24);
        CHECK(without[0] == 1 + 24 * static_cast<float>(tokens));
        CHECK(without[15 * 24] == 1 + 24 * static_cast<float>(15 + tokens));
        const std::vector<float> with = loaded(*names, "setr_mla", "backbone.pos_embed");
        REQUIRE(with.size() == 17 * 24);
        CHECK(with[0] == 1);
        CHECK(with[24] == 1 + 24 * static_cast<float>(tokens));
        CHECK(loaded(*names, "setr_mla", "backbone.cls_token")[0] == 0);
        CHECK(loaded(*names, "setr_light", "cls_token").empty());
    }
}
