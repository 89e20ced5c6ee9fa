#include "app/backend_choice.hpp"
#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("ranks that share a GPU are found by its id, whatever their order", "[app]") {
    using Groups = std::vector<std::vector<int>>;
    CHECK(app::ranks_that_share({"GPU-a", "GPU-b", "GPU-c"}).empty());
    CHECK(app::ranks_that_share({"GPU-b", "GPU-a", "GPU-b", "GPU-c", "GPU-a"}) == Groups{{1, 4}, {0, 2}});
    CHECK(app::ranks_that_share({"", "", ""}).empty());  // CPUs
}
