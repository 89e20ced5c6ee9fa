#include <sys/mount.h>

#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"
#include "train/checkpoint_folder.hpp"

using namespace terrane;

TEST_CASE("a full disk is named, and the checkpoint before it stays usable") {
    test::TemporaryFolder folder;
    if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
        test::skip(std::string("no small tmpfs can be mounted: ") + std::strerror(errno));
    }
    struct Unmount {
        const char* path;
        ~Unmount() { ::umount2(path, MNT_DETACH); }
    } unmount{folder.path().c_str()};

    train::CheckpointFolder checkpoints(folder.path() / "ckpt");
    const auto write = [](std::size_t bytes) {
        return [bytes](const std::filesystem::path& target) {
            CheckedFile file(target / "model.safetensors");
            const std::vector<std::byte> content(bytes, std::byte{7});
            file.write(content);
            file.finish();
        };
    };
    // A run that could not keep its checkpoints there does not begin.
    try {
        checkpoints.prepare(std::size_t{200} << 10);
        FAIL("the small disk went unnoticed");
    } catch (const Error& error) {
        CHECK(error.number() == 613);
        CHECK_THAT(error.message(), test::contains("two of them must fit"));
    }
    CHECK(checkpoints.prepare(std::size_t{50} << 10).leftovers == 0);
    checkpoints.publish(1, write(100'000));
    checkpoints.link("last", 1);
    try {
        checkpoints.publish(2, write(200'000));
        FAIL("the full disk went unnoticed");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::io_error);
        CHECK_THAT(error.message(), test::contains("No space left"));
        CHECK_THAT(error.fix(), test::contains("Free some space"));
    }
    CHECK(checkpoints.newest_good() == 1);
    CHECK(checkpoints.linked("last") == 1);
    checkpoints.publish(2, write(50'000));
    CHECK(checkpoints.newest_good() == 1);  // until it is linked
    checkpoints.link("last", 2);
    CHECK(checkpoints.newest_good() == 2);
}
