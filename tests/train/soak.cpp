// Kills, resumes and flipped bits, by the dozen in every build and by the hundred on request (ctest -L soak).
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "base/error.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;
namespace fs = std::filesystem;

namespace {

/// Runs `action` in a child process; its status.
template <typename Action>
int in_child(const Action& action) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            action();
            std::_Exit(0);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
            std::_Exit(3);
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

bool was_killed(int status) {
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void write_content(const fs::path& folder, std::int64_t step) {
    for (const auto& [name, bytes] :
         {std::pair{"model.safetensors", 60'000}, {"optim.safetensors", 120'000}}) {
        CheckedFile file(folder / name);
        const std::vector<std::byte> piece(10'000, static_cast<std::byte>(step));
        for (int i = 0; i < bytes; i += 10'000) file.write(piece);
        file.finish();
    }
    write_file_atomically(folder / "state.json", fmt::format("{{\"step\": {}}}", step));
}

/// Saves of steps 1 to 5, pruned like those of a run. Killed somewhere; what was complete before stays
/// complete, and whatever looks complete is.
void kill_while_saving(int times, std::uint32_t seed) {
    std::mt19937 random(seed);
    int killed = 0;
    for (int i = 0; i < times; ++i) {
        test::TemporaryFolder folder;
        train::CheckpointFolder checkpoints(folder.path());
        checkpoints.publish(1, [](const fs::path& target) { write_content(target, 1); });
        checkpoints.link("last", 1);
        // Byte by byte within the writes, and between all other operations.
        const std::string fault = i % 2 == 0 ? fmt::format("kill@saved_byte={}", random() % (4 * 181'000) + 1)
                                             : fmt::format("kill@file_operation={}", random() % (4 * 35) + 1);
        CAPTURE(fault);
        const int status = in_child([&] {
            fault::arm(fault, 0);
            train::CheckpointWriter writer(checkpoints, 1);
            for (std::int64_t step = 2; step <= 5; ++step) {
                writer.start(
                    {step, step == 3, [step](const fs::path& target) { write_content(target, step); }});
                const auto result = writer.wait();
                if (!result || !result->failure.empty())
                    throw std::runtime_error(result ? result->failure : "lost");
            }
        });
        killed += was_killed(status) ? 1 : 0;
        REQUIRE((was_killed(status) || status == 0));
        const auto newest = checkpoints.newest_good();
        REQUIRE(newest);
        REQUIRE(checkpoints.linked("last") == newest);
        for (const std::int64_t step : checkpoints.steps())
            REQUIRE_NOTHROW(train::verify_checkpoint(checkpoints.path_of(step)));
        const auto best = checkpoints.linked("best");
        if (best) REQUIRE_NOTHROW(train::verify_checkpoint(checkpoints.path_of(*best)));
        checkpoints.prepare(1000);
        for (const auto& entry : fs::directory_iterator(folder.path()))
            REQUIRE_FALSE(entry.path().string().ends_with(".tmp"));
    }
    CHECK(killed > times * 3 / 4);
    std::printf("%d of %d saves were killed on the way; every checkpoint that looks complete is\n", killed,
                times);
}

config::Config enduring() {
    config::Config config = test::small_config();
    config.model.dropout = 0.1;
    config.optim.ema_decay = 0.9;
    config.checkpoint.every = 1;
    config.eval.every_steps = 7;
    return config;
}

/// Flips random bits of a real checkpoint, one at a time.
void flip_bits(int times, std::uint32_t seed) {
    test::TemporaryFolder folder;
    config::Config config = enduring();
    config.train.steps = 1;
    test::Run().train(config, folder.path());
    const fs::path checkpoint = folder.path() / "step-00000001";
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(checkpoint)) files.push_back(entry.path());
    REQUIRE(files.size() == 5);
    REQUIRE_NOTHROW(train::verify_checkpoint(checkpoint));
    std::mt19937_64 random(seed);
    int found = 0;
    for (int i = 0; i < times; ++i) {
        const fs::path& file = files[random() % files.size()];
        const auto offset = static_cast<std::streamoff>(random() % fs::file_size(file));
        const char mask = static_cast<char>(1u << (random() % 8));
        const auto flip = [&] {
            std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
            stream.seekg(offset);
            const char byte = static_cast<char>(stream.get());
            stream.seekp(offset);
            stream.put(static_cast<char>(byte ^ mask));
        };
        flip();
        try {
            train::verify_checkpoint(checkpoint);
            UNSCOPED_INFO("not found: " << file << " at " << offset);
        } catch (const Error&) {
            ++found;
        }
        flip();
    }
    CHECK_NOTHROW(train::verify_checkpoint(checkpoint));
    CHECK(found == times);
    std::printf("%d of %d flipped bits were found\n", found, times);
}

/// Kills a training again and again, in steps and while it saves, and lets it go on.
void kill_and_resume(int times, std::uint32_t seed) {
    test::TemporaryFolder disturbed, whole;
    config::Config config = enduring();
    config.train.steps = 2 * times + 4;
    const auto train = [&](const fs::path& folder) {
        return in_child([&] {
            test::Run run;
            run.train(config, folder / "ckpt");
            write_file_atomically(folder / "weights", std::span<const std::byte>(run.model));
        });
    };
    REQUIRE(train(whole.path()) == 0);

    std::mt19937 random(seed);
    int kills = 0, starts = 0;
    for (bool done = false; !done; ++starts) {
        REQUIRE(starts < 20 * times);
        std::string fault;
        if (kills < times) {
            const train::CheckpointFolder checkpoints(disturbed.path() / "ckpt");
            const std::int64_t next = checkpoints.steps().empty() ? 1 : checkpoints.steps().back() + 1;
            switch (random() % 3) {
                case 0:
                    fault = fmt::format("kill@step={}", next + 1 + static_cast<std::int64_t>(random() % 2));
                    break;
                case 1:
                    fault = fmt::format("kill@saved_byte={}", random() % 800'000 + 1);
                    break;
                case 2:
                    fault = fmt::format("kill@file_operation={}", random() % 200 + 1);
                    break;
            }
        }
        const int status = in_child([&] {
            fault::arm(fault, 0);
            test::Run run;
            run.train(config, disturbed.path() / "ckpt");
            write_file_atomically(disturbed.path() / "weights", std::span<const std::byte>(run.model));
        });
        CAPTURE(fault, kills);
        REQUIRE((was_killed(status) || status == 0));
        if (was_killed(status)) ++kills;
        done = status == 0;
    }
    CHECK(kills > times * 3 / 4);
    CHECK(read_text_file(disturbed.path() / "weights") == read_text_file(whole.path() / "weights"));
    std::printf(
        "%d kills in %d starts over %lld steps; the weights are those of the undisturbed run, bit for bit\n",
        kills, starts, static_cast<long long>(config.train.steps));
}

}  // namespace

TEST_CASE("a save that is killed costs no complete checkpoint and leaves nothing that only looks complete") {
    kill_while_saving(24, 1);
}

TEST_CASE("every flipped bit of a checkpoint is found") {
    flip_bits(60, 2);
}

TEST_CASE("a training that is killed and resumed again and again ends with the weights of one that was not") {
    kill_and_resume(4, 3);
}

TEST_CASE("soak: 200 killed saves", "[.soak]") {
    kill_while_saving(200, 11);
}

TEST_CASE("soak: 1000 flipped bits", "[.soak]") {
    flip_bits(1000, 12);
}

TEST_CASE("soak: 100 kills and resumes", "[.soak]") {
    kill_and_resume(100, 13);
}
