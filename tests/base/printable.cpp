#include "base/printable.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using terrane::printable;

TEST_CASE("control characters are escaped, everything else stays", "[base]") {
    CHECK(printable("straße/a b.tif") == "straße/a b.tif");
    CHECK(printable("a\x1b[31m\x07\x7f\t\r\nb") == "a\\x1b[31m\\x07\\x7f\\t\\r\\nb");
    CHECK(printable("a\nb\r", terrane::LineBreaks::keep) == "a\nb\\r");
    CHECK(printable("\xc2\x9b"
                    "2J \xc2\xb2") == "\\x9b2J \xc2\xb2");
    CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
    CHECK(printable(printable("\x1b\n")) == printable("\x1b\n"));
    const terrane::Error error(terrane::ExitCode::data_invalid, 201, "no \x1b[2Jfile.", "Look\nthere.");
    CHECK(std::string(error.what()) == "error[E0201]: no \\x1b[2Jfile. Look\\nthere.");
    CHECK(error.message() == "no \\x1b[2Jfile.");
    CHECK(error.fix() == "Look\\nthere.");
}
