// Runs that leave loaded layers as they are.
#include <map>

#include "base/file.hpp"
#include "base/log.hpp"
#include "support/catch.hpp"
#include "train/model_files.hpp"
#include "training_fixture.hpp"
#include "weights/safetensors.hpp"

using namespace terrane;
using train::Trainer;

namespace {

config::Config transformer_config() {
    config::Config config = test::small_config();
    config.model.name = "setr_light";
    config.model.vit.patch = 8;
    config.model.vit.depth = 3;
    config.model.vit.width = 24;
    config.model.vit.heads = 3;
    return config;
}

struct Result {
    std::map<std::string, std::vector<std::byte>> tensors;  ///< parameters and saved states after the run
    std::set<std::string> trained;
    train::RunReport start;
};

Result train_run(const config::Config& config, const std::filesystem::path& folder,
                 std::int64_t stop_at = -1) {
    test::SyntheticSource training(10, 32, 3), validation(3, 32, 3);
    const auto backend = ref::make_ref_backend();
    const auto communicator = comm::self_communicator();
    test::Recorder recorder;
    train::TrainingSetup setup{config, training, &validation, *backend, *communicator, folder, recorder};
    setup.stop_requested = [&] { return static_cast<std::int64_t>(recorder.steps.size()) + 1 == stop_at; };
    Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    Result result;
    result.start = recorder.start;
    const auto keep = [&](const std::string& name, const TensorView& tensor) {
        result.tensors[name].assign(tensor.data, tensor.data + tensor.bytes());
    };
    for (const auto& entry : trainer.store().entries()) {
        keep(entry.name, trainer.store().parameter(entry));
        if (entry.trainable == graph::Trainable::yes) result.trained.insert(entry.name);
    }
    for (const auto& state : trainer.store().states()) {
        if (state.saved == graph::Saved::yes) keep(state.name, state.view());
    }
    return result;
}

/// The names whose numbers differ.
std::set<std::string> changed(const Result& before, const Result& after) {
    std::set<std::string> names;
    for (const auto& [name, bytes] : after.tensors) {
        if (before.tensors.at(name) != bytes) names.insert(name);
    }
    return names;
}

bool any_begins(const std::set<std::string>& names, std::string_view prefix) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(prefix); });
}

}  // namespace

TEST_CASE("a frozen encoder keeps its bits and has no moments, and the rest trains") {
    test::TemporaryFolder first, second;
    config::Config config = transformer_config();
    config.optim.weight_decay = 0.1;
    const Result pretrained = train_run(config, first.path());
    config.train.init_weights = first.path() / "last";
    config.model.frozen = "encoder";
    const Result result = train_run(config, second.path());
    const std::set<std::string> moved = changed(pretrained, result);
    for (const char* encoder : {"patch_embed.", "pos_embed", "blocks.", "norm."}) {
        CHECK_FALSE(any_begins(moved, encoder));
        CHECK_FALSE(any_begins(result.trained, encoder));
    }
    for (const char* decoder :
         {"mla_projs.0.weight", "decoder.0.bias", "decoder.1.running_mean", "head.bias"}) {
        CHECK(moved.contains(decoder));
    }
    CHECK(result.start.trained_parameters < result.start.parameters);
    const weights::SafetensorsReader moments(second.path() / "last/optim.safetensors");
    CHECK(moments.tensors().size() == 2 * result.trained.size());
}

TEST_CASE("batch norms of a frozen encoder leave their running statistics, also behind trained gates") {
    test::TemporaryFolder first, second, third;
    config::Config config = test::small_config();
    const Result pretrained = train_run(config, first.path());
    config.train.init_weights = first.path() / "last";
    config.model.frozen = "encoder";
    // The gates lie between the encoder's stages: gradients reach them through frozen norms.
    const Result behind = train_run(config, second.path());
    const std::set<std::string> moved = changed(pretrained, behind);
    CHECK_FALSE(any_begins(moved, "encoder."));
    CHECK(any_begins(moved, "fusion"));
    CHECK(any_begins(moved, "aspp."));
    config.optim.freeze = {"^fusion"};
    const std::set<std::string> fewer = changed(pretrained, train_run(config, third.path()));
    CHECK_FALSE(any_begins(fewer, "encoder."));
    CHECK_FALSE(any_begins(fewer, "fusion"));
    CHECK(any_begins(fewer, "aspp."));
}

TEST_CASE(
    "a stopped run with a frozen encoder ends with the bits of one that was not, without its first weights") {
    test::TemporaryFolder first, whole, parts;
    config::Config config = transformer_config();
    train_run(config, first.path());
    config.train.init_weights = first.path() / "last";
    config.optim.freeze = {"^blocks\\.0\\.", "^mla_projs\\.1"};
    const Result uninterrupted = train_run(config, whole.path());
    train_run(config, parts.path(), 2);
    config.train.init_weights = "";
    const Result resumed = train_run(config, parts.path());
    CHECK(resumed.start.first_step == 2);
    CHECK(resumed.trained == uninterrupted.trained);
    CHECK(resumed.tensors == uninterrupted.tensors);
}

TEST_CASE("layers that were not loaded are trained although they were to be frozen") {
    test::TemporaryFolder first, second, third;
    config::Config config = transformer_config();
    config.model.frozen = "encoder";
    const Result fresh = train_run(config, first.path());  // without weights nothing is frozen
    CHECK(any_begins(fresh.trained, "blocks."));

    // A file that holds only part of the encoder.
    weights::SafetensorsWriter writer;
    const std::vector<std::byte>& bytes = fresh.tensors.at("pos_embed");
    std::vector<std::byte> copy = bytes;
    writer.add("pos_embed", {copy.data(), {DType::f32, {1, 16, 24}}});
    writer.write(third.path() / "part.safetensors");
    config.train.init_weights = third.path() / "part.safetensors";
    const Result result = train_run(config, second.path());
    CHECK(result.tensors.at("pos_embed") == bytes);
    CHECK_FALSE(result.trained.contains("pos_embed"));
    CHECK(result.trained.contains("blocks.1.ffn.fc2.weight"));
}

TEST_CASE("weights that do not exist are an error, or by wish a warning, random numbers and nothing frozen") {
    test::TemporaryFolder fresh, refused, warned;
    config::Config config = transformer_config();
    const Result without = train_run(config, fresh.path());
    config.model.frozen = "encoder";
    config.train.init_weights = "/nowhere/vit.pth";
    CHECK_THROWS_WITH(train_run(config, refused.path()),
                      test::contains("there are no weights /nowhere/vit.pth"));
    config.import_rules.missing = "warn";
    log::add_file((refused.path() / "log").string());
    const Result result = train_run(config, warned.path());
    CHECK(result.trained == without.trained);
    CHECK(result.tensors == without.tensors);
    const std::string messages = read_text_file(refused.path() / "log");
    CHECK_THAT(messages, test::contains("are not in train.init_weights and are trained"));
    CHECK_THAT(messages,
               test::contains("there are no weights /nowhere/vit.pth: training starts from random"));
}

TEST_CASE("weights that have nothing in common with the network are refused") {
    test::TemporaryFolder folder;
    weights::SafetensorsWriter writer;
    float number = 1;
    writer.add("something", {reinterpret_cast<std::byte*>(&number), {DType::f32, {1}}});
    writer.write(folder.path() / "other.safetensors");
    config::Config config = transformer_config();
    config.train.init_weights = folder.path() / "other.safetensors";
    CHECK_THROWS_WITH(train_run(config, folder.path() / "run"), test::contains("fits the network"));
}
