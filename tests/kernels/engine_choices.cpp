#include "cuda/engine_choices.hpp"

#include <fstream>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using cuda::EngineChoices;
using cuda::EngineKey;

TEST_CASE("a kept engine is found again by the next process, and by its whole key only", "[cuda]") {
    const test::TemporaryFolder folder;
    const auto file = folder.path() / "cache" / "engines.json";
    const EngineKey key{
        "NVIDIA H100", "cudnn 91900", "forward", "bf16", {8, 64, 64, 32, 32, 32, 64, 3, 2, 1, 1, 1}};
    EngineKey other = key;
    other.sizes[7] = 1;
    {
        EngineChoices choices(file);
        CHECK(choices.find(key.text()).empty());
        choices.keep(key.text(), "eng5_k2=3");
        choices.keep(other.text(), "eng1");
    }
    const EngineChoices again(file);
    CHECK(again.find(key.text()) == "eng5_k2=3");
    CHECK(again.find(other.text()) == "eng1");
    other.device = "NVIDIA A100";
    CHECK(again.find(other.text()).empty());
}

TEST_CASE("a file of engine choices that is damaged or foreign counts as empty and is replaced", "[cuda]") {
    const test::TemporaryFolder folder;
    const auto file = folder.path() / "engines.json";
    for (const char* content :
         {"", "{", "[1, 2]", "{\"format\": 2, \"choices\": {\"a\": \"b\"}}",
          "{\"format\": 1, \"choices\": [3]}", "{\"format\": 1, \"choices\": {\"a\": 7}}"}) {
        std::ofstream(file) << content;
        EngineChoices choices(file);
        CHECK(choices.find("a").empty());
        choices.keep("a", "engine");
        CHECK(EngineChoices(file).find("a") == "engine");
    }
}
