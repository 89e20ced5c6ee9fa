// The reader of what torch.save writes, against files put together byte by byte; files of PyTorch itself are
// in torch_files.py.
#include "support/catch.hpp"
#include "torch_bytes.hpp"

using namespace terrane;
using namespace terrane::test;
using weights::TensorFile;

namespace {

std::vector<float> values_of(const TensorFile& file, std::size_t index) {
    const auto& entry = file.tensors().at(index);
    std::vector<std::byte> bytes(entry.spec.bytes());
    file.read(index, bytes);
    return weights::to_floats(entry.spec.dtype, bytes);
}

/// Why these bytes are refused; "accepted" if they are not.
std::string refusal_of(const std::string& bytes) {
    try {
        const auto file = open_bytes(bytes);
        for (std::size_t i = 0; i < file->tensors().size(); ++i) values_of(*file, i);
    } catch (const Error& error) {
        return error.message();
    }
    return "accepted";
}

/// The refusal of a pickle in an archive with one storage of six floats.
std::string refusal_of_code(const std::string& code) {
    return refusal_of(archive(pickle(code), {{"0", floats({0, 1, 2, 3, 4, 5})}}));
}

const std::string six = storage("FloatStorage", "0", 6);

}  // namespace

TEST_CASE("an archive and a legacy stream give the same tensors, views and shared storages materialised") {
    const std::string code = "}(" + text("plain") + tensor(six, 0, {2, 3}, {3, 1}) + text("transposed") +
                             tensor(six, 0, {3, 2}, {1, 3}) + text("slice") + tensor(six, 2, {2}, {3}) +
                             text("scalar") + tensor(six, 4, {}, {}) + text("empty") +
                             tensor(six, 0, {0, 7}, {7, 1}) + "u";
    const std::string content = floats({0, 1, 2, 3, 4, 5});
    for (const std::string& bytes :
         {archive(pickle(entry("state_dict", code)), {{"0", content}}),
          legacy_stream(pickle(entry("state_dict", code)), {{"0", {6, content}}})}) {
        const auto file = open_bytes(bytes);
        REQUIRE(file->tensors().size() == 5);  // sorted by name
        CHECK(file->tensors()[1].name == "plain");
        CHECK(file->tensors()[1].spec == TensorSpec{DType::f32, {2, 3}});
        CHECK(values_of(*file, 0).empty());
        CHECK(values_of(*file, 1) == std::vector<float>{0, 1, 2, 3, 4, 5});
        CHECK(values_of(*file, 2) == std::vector<float>{4});
        CHECK(values_of(*file, 3) == std::vector<float>{2, 5});
        CHECK(values_of(*file, 4) == std::vector<float>{0, 3, 1, 4, 2, 5});
    }
}

TEST_CASE("a legacy view of a storage begins where it says") {
    const std::string view = "(" + text("storage") + global("torch", "FloatStorage") + text("0") +
                             text("cpu") + integer(6) + "(" + text("v") + integer(2) + integer(3) + "ttQ";
    const std::string content = floats({0, 1, 2, 3, 4, 5});
    const auto file =
        open_bytes(legacy_stream(pickle(entry("a", tensor(view, 1, {2}, {1}))), {{"0", {6, content}}}));
    CHECK(values_of(*file, 0) == std::vector<float>{3, 4});
    CHECK_THAT(
        refusal_of(legacy_stream(pickle(entry("a", tensor(view, 2, {2}, {1}))), {{"0", {6, content}}})),
        contains("beyond its storage of 3"));
}

TEST_CASE("every element type becomes the same numbers") {
    const auto one = [](const std::string& type, const std::string& content, std::int64_t elements) {
        const auto file = open_bytes(archive(
            pickle(entry("a", tensor(storage(type, "0", elements), 0, {elements}, {1}))), {{"0", content}}));
        return values_of(*file, 0);
    };
    CHECK(one("HalfStorage", little(0x3c00c000, 4), 2) == std::vector<float>{-2, 1});
    CHECK(one("HalfStorage", little(0x00010400, 4), 2) == std::vector<float>{0x1p-14f, 0x1p-24f});
    CHECK(one("BFloat16Storage", little(0x3f80c000, 4), 2) == std::vector<float>{-2, 1});
    CHECK(one("DoubleStorage", little(std::bit_cast<std::uint64_t>(-0.5), 8), 1) ==
          std::vector<float>{-0.5f});
    CHECK(one("LongStorage", little(static_cast<std::uint64_t>(-3), 8), 1) == std::vector<float>{-3});
    CHECK(one("BoolStorage", std::string("\x01\x00", 2), 2) == std::vector<float>{1, 0});
}

TEST_CASE("weights are found under the keys of training programs, and a part can be chosen") {
    const auto weights = [](float value_index) {
        return entry("w", tensor(six, static_cast<std::int64_t>(value_index), {1}, {1}));
    };
    const std::map<std::string, std::string> data{{"0", floats({0, 1, 2, 3, 4, 5})}};
    const std::string both =
        "}(" + text("student") + weights(1) + text("teacher") + weights(2) + text("epoch") + integer(7) + "u";
    CHECK(values_of(*open_bytes(archive(pickle(both), data)), 0)[0] == 2);
    CHECK(values_of(*open_bytes(archive(pickle(both), data), "student"), 0)[0] == 1);
    CHECK_THROWS_WITH(open_bytes(archive(pickle(both), data), "ema"), contains("no part \"ema\""));
    const std::string deep = entry("model", entry("state_dict", weights(3)));
    const auto file = open_bytes(archive(pickle(deep), data));
    CHECK(file->tensors()[0].name == "w");
    CHECK(values_of(*file, 0)[0] == 3);
    CHECK_FALSE(file->notes().empty());
}

TEST_CASE("a pickle never calls what it names: unknown objects are skipped with a note") {
    const std::string evil = "}(" + text("a") + global("os", "system") + "(" + text("touch /tmp/owned") +
                             "tR" + text("options") + global("argparse", "Namespace") + ")\x81" +
                             entry("lr", integer(1)) + "b" + text("w") + tensor(six, 0, {6}, {1}) + "u";
    const auto file = open_bytes(archive(pickle(evil), {{"0", floats({0, 1, 2, 3, 4, 5})}}));
    REQUIRE(file->tensors().size() == 1);
    CHECK(file->tensors()[0].name == "w");
    REQUIRE(file->notes().size() == 2);
    CHECK_THAT(file->notes()[0], contains("os.system"));
    CHECK_THAT(file->notes()[1], contains("argparse.Namespace"));
}

TEST_CASE("a whole module is read through its parameters, buffers and submodules") {
    const std::string leaf = global("net", "Layer") + ")\x81}(" + text("_parameters") +
                             entry("weight", tensor(six, 0, {2}, {1})) + text("_buffers") +
                             entry("mean", tensor(six, 2, {1}, {1})) + text("training") + "\x88ub";
    const std::string module = global("net", "Net") + ")\x81}(" + text("_parameters") + "}" +
                               text("_modules") + entry("0", leaf) + "ub";
    const auto file = open_bytes(archive(pickle(module), {{"0", floats({0, 1, 2, 3, 4, 5})}}));
    REQUIRE(file->tensors().size() == 2);
    CHECK(file->tensors()[0].name == "0.mean");
    CHECK(file->tensors()[1].name == "0.weight");
}

TEST_CASE("a tensor that lies about its storage is refused") {
    CHECK(refusal_of_code(entry("a", tensor(six, 0, {6}, {1}))) == "accepted");
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 1, {6}, {1}))), contains("go beyond its storage of 6"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {2}, {6}))), contains("go beyond its storage of 6"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 5, {2}, {-1}))),
               contains("stride is no sensible count"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, -1, {1}, {1}))),
               contains("offset is no sensible count"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {std::int64_t{1} << 62}, {1}))),
               contains("sensible"));
    const std::int64_t wide = std::int64_t{1} << 40;
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {wide, wide}, {0, 0}))), contains("out of range"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {2, wide}, {1, 0}))), contains("expanded tensor"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {wide}, {wide}))), contains("out of range"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(six, 0, {2, 3}, {1}))), contains("as many strides"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(storage("FloatStorage", "0", 7), 0, {1}, {1}))),
               contains("too few for 7"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(storage("FloatStorage", "1", 6), 0, {1}, {1}))),
               contains("lacks storage 1"));
    CHECK_THAT(refusal_of_code(entry("a", tensor(storage("QInt8Storage", "0", 6), 0, {1}, {1}))),
               contains("torch.QInt8Storage are not supported"));
}

TEST_CASE("a damaged or hostile pickle is refused with the byte and the reason") {
    CHECK_THAT(refusal_of_code("h\x05"),
               contains("data.pkl, byte 4 of the pickle: memo entry 5 was never put"));
    CHECK_THAT(refusal_of_code("Nr" + little(0xffffffff, 4)),
               contains("memo entry 4294967295 after 0 others"));
    CHECK_THAT(refusal_of_code("0"), contains("empty stack"));
    CHECK_THAT(refusal_of_code("t"), contains("never set"));
    CHECK_THAT(refusal_of_code("Na"), contains("empty stack"));
    CHECK_THAT(refusal_of_code("NNa"), contains("no such container"));
    CHECK_THAT(refusal_of_code("}(Nu"), contains("key without a value"));
    CHECK_THAT(refusal_of_code("X" + little(0x7fffffff, 4) + "abc"), contains("goes beyond the end"));
    CHECK_THAT(refusal_of_code("\x8d" + std::string(8, '\xff') + "abc"), contains("goes beyond the end"));
    CHECK_THAT(refusal_of_code("\x82\x01"), contains("opcode 0x82"));
    CHECK_THAT(refusal_of_code("i"), contains("opcode 0x69"));
    CHECK_THAT(refusal_of_code(text("abc") + "Q"), contains("is no tuple"));
    CHECK_THAT(refusal_of_code("cos\n"), contains("ends before its STOP"));
    CHECK_THAT(refusal_of_code("N"), contains("no tensor in it"));
    CHECK_THAT(refusal_of_code(std::string("\x80\x09N", 3)), contains("protocol 9"));
}

TEST_CASE("nesting, cycles and doubling structures end in an error, not in a crash") {
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += "]";
    for (int i = 0; i < 99999; ++i) deep += "a";
    CHECK_THAT(refusal_of_code(deep), contains("nested too deeply"));
    CHECK_THAT(refusal_of_code("]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a"),
               contains("nested too deeply"));
    // Twenty-five tuples, each holding the one before twice.
    std::string laughs = entry("w", "N");
    for (int i = 0; i < 25; ++i) {
        laughs += std::string("q") + static_cast<char>(i) + "h" + static_cast<char>(i) + "\x86";
    }
    CHECK_THAT(refusal_of_code(laughs), contains("repeats itself without end"));
    // OrderedDict called on itself, a tensor rebuilt through itself.
    CHECK_THAT(refusal_of_code(global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                               global("torch._tensor", "_rebuild_from_type_v2") + "N)tR"),
               contains("no tensor in it"));
}

TEST_CASE("an archive that lies is refused") {
    const std::string good = pickle(entry("a", tensor(six, 0, {6}, {1})));
    const std::string content = floats({0, 1, 2, 3, 4, 5});
    const std::string whole = archive(good, {{"0", content}});
    CHECK(refusal_of(whole) == "accepted");
    for (std::size_t length = 0; length < whole.size(); length += 7) {
        CHECK(refusal_of(whole.substr(0, length)) != "accepted");
    }
    const auto with = [&](const ZipBytes::Lie& lie) {
        ZipBytes zip;
        zip.add("model/data.pkl", good);
        zip.add("model/data/0", content, lie);
        return refusal_of(zip.bytes());
    };
    CHECK(with({}) == "accepted");
    CHECK_THAT(with({.method = 8}), contains("is compressed"));
    CHECK_THAT(with({.central_size = 0x7fffffff}), contains("is not a usable zip archive"));
    CHECK_THAT(with({.crc_flip = 1}), contains("is not a usable zip archive"));
    ZipBytes twice;
    twice.add("model/data.pkl", good);
    twice.add("model/data/0", content);
    twice.add("model/data/0", content);
    CHECK_THAT(refusal_of(twice.bytes()), contains("is not a usable zip archive"));
    ZipBytes none;
    none.add("readme.txt", "hello");
    CHECK_THAT(refusal_of(none.bytes()), contains("torch.save did not write it"));
    ZipBytes big;
    big.add("model/data.pkl", good);
    big.add("model/byteorder", "big");
    big.add("model/data/0", content);
    CHECK_THAT(refusal_of(big.bytes()), contains("byte order is \"big\""));
}

TEST_CASE("a legacy stream that lies is refused, a tar archive and anything else too") {
    const std::string good = pickle(entry("a", tensor(six, 0, {6}, {1})));
    const std::string content = floats({0, 1, 2, 3, 4, 5});
    const std::string whole = legacy_stream(good, {{"0", {6, content}}});
    CHECK(refusal_of(whole) == "accepted");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK(refusal_of(whole.substr(0, length)) != "accepted");
    }
    CHECK_THAT(refusal_of(legacy_stream(good, {{"0", {5, content}}})),
               contains("has 5 elements, its description 6"));
    CHECK_THAT(refusal_of(legacy_stream(good, {})), contains("storage 0 is missing"));
    CHECK_THAT(refusal_of(legacy_stream(good, {{"0", {6, content}}, {"1", {6, content}}})),
               contains("nothing says what storage 1 is"));
    std::string tar(1024, '\0');
    tar.replace(257, 5, "ustar");
    CHECK_THAT(refusal_of(tar), contains("tar archive"));
    CHECK_THAT(refusal_of("hello, I am a text file"), contains("neither what torch.save writes"));
    CHECK_THAT(refusal_of(""), contains("neither what torch.save writes"));
}
