#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/check.hpp"
#include "config/resolve.hpp"
#include "support/catch.hpp"

namespace terrane::test {

/// A minimal whole configuration, for tests that spoil one thing in it.
inline const std::string minimal = R"(
format = 1
[[modality]]
name = "optical"
files = "optical.tif"
[[modality]]
name = "dsm"
files = ["a/*.tif", "/data/b.tif"]
[[class]]
id = 0
name = "ground"
color = [10, 20, 30]
[[class]]
id = 1
name = "building"
color = [255, 0, 0]
)";

inline config::Resolved resolve_text(const std::string& text,
                                     const std::vector<config::Assignment>& sets = {},
                                     const std::vector<config::Assignment>& named = {}) {
    return config::resolve({{"scene.toml", "/folder", text}}, named, sets);
}

/// The error that resolving and checking `text` gives, as the user sees it; empty if there is none.
inline std::string config_error(const std::string& text, const std::vector<config::Assignment>& sets = {}) {
    try {
        config::check(resolve_text(text, sets), config::Completeness::whole);
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::config_invalid);
        return error.what();
    }
    return "";
}

}  // namespace terrane::test
