#include "weights/safetensors.hpp"

#include <cstring>
#include <fstream>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using namespace terrane::weights;

namespace {

std::string file_of(const std::string& json, std::size_t data_bytes) {
    std::string content(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) content[i] = static_cast<char>(json.size() >> (8 * i));
    return content + json + std::string(data_bytes, '\x01');
}

std::string refusal_of(const std::string& json, std::size_t data_bytes) {
    try {
        parse_safetensors_header(json, 8 + json.size() + data_bytes, "weights.safetensors");
    } catch (const Error& error) {
        return error.message();
    }
    return "accepted";
}

template <typename T>
TensorView view_of(std::vector<T>& values, Shape shape) {
    return {reinterpret_cast<std::byte*>(values.data()), {dtype_of<T>, shape}};
}

}  // namespace

TEST_CASE("what safetensors writes, it reads back bit for bit") {
    test::TemporaryFolder folder;
    const auto path = folder.path() / "a.safetensors";
    std::vector<std::uint8_t> bytes{1, 2, 3};
    std::vector<float> floats{1.5f, -0.0f, 3e-42f, 4, 5, 6};
    std::vector<std::int64_t> one{-7};
    std::vector<float> none;
    SafetensorsWriter writer;
    writer.add("bytes", view_of(bytes, {3}));
    writer.add("encoder.0.weight", view_of(floats, {1, 2, 3}));
    writer.add("count", view_of(one, {}));
    writer.add("empty", view_of(none, {0, 4}));
    writer.add_metadata("format", "pt");
    writer.write(path);

    const SafetensorsReader reader(path);
    CHECK(reader.tensors().size() == 4);
    CHECK(reader.metadata().at("format") == "pt");
    std::vector<float> floats_again(6);
    const StoredTensor& tensor = reader.require("encoder.0.weight", {DType::f32, {1, 2, 3}});
    CHECK(tensor.offset % 4 == 0);
    reader.read(tensor, std::as_writable_bytes(std::span(floats_again)));
    CHECK(std::memcmp(floats_again.data(), floats.data(), 24) == 0);
    std::int64_t one_again = 0;
    reader.read(*reader.find("count"), std::as_writable_bytes(std::span(&one_again, 1)));
    CHECK(one_again == -7);
    CHECK(reader.find("absent") == nullptr);
    CHECK_THROWS_WITH(reader.require("bytes", {DType::u8, {4}}),
                      test::contains("u8 [3], the model needs u8 [4]"));
    CHECK_THROWS_WITH(reader.require("absent", {DType::u8, {4}}), test::contains("has no tensor \"absent\""));
}

TEST_CASE("a header that lies is refused with the tensor's name and the reason") {
    const std::string good =
        R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}})";
    CHECK(refusal_of(good, 9) == "accepted");
    CHECK_THAT(refusal_of(good, 10), test::contains("its tensors end at"));
    CHECK_THAT(refusal_of(good, 8), test::contains("tensor \"b\": bytes 8 to 9 are outside"));
    const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
        return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
               "}}";
    };
    CHECK_THAT(refusal_of(one("F32", "[3]", "[0,8]"), 8), test::contains("needs 12 bytes, not 8"));
    CHECK_THAT(refusal_of(one("F8_E4M3", "[8]", "[0,8]"), 8), test::contains("F8_E4M3 is not supported"));
    CHECK_THAT(refusal_of(one("F32", "[-2]", "[0,8]"), 8), test::contains("shape is out of range"));
    CHECK_THAT(refusal_of(one("F32", "[4294967296,4294967296]", "[0,0]"), 0),
               test::contains("shape is out of range"));
    CHECK_THAT(refusal_of(one("F32", "[1,1,1,1,1,1,2]", "[0,8]"), 8), test::contains("at most 6 sizes"));
    CHECK_THAT(refusal_of(one("F32", "[2]", "[8,0]"), 8), test::contains("outside"));
    CHECK_THAT(refusal_of(one("F32", "[2]", "[0.0,8]"), 8), test::contains("not two numbers"));
    CHECK_THAT(refusal_of(one("F32", "[2]", "[4,12]"), 12), test::contains("gap"));
    CHECK_THAT(
        refusal_of(
            R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
            6),
        test::contains("overlaps"));
    CHECK_THAT(
        refusal_of(
            R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
            1),
        test::contains("appears twice"));
    CHECK_THAT(refusal_of(R"({"a":[[[[[[1]]]]]]})", 0), test::contains("nested too deeply"));
    CHECK_THAT(refusal_of("[]", 0), test::contains("not a JSON object"));
    CHECK_THAT(refusal_of("{\"a\":", 0), test::contains("not JSON"));
    CHECK_THAT(refusal_of(R"({"__metadata__":{"a":1}})", 0), test::contains("__metadata__"));
}

TEST_CASE("a file that is missing, empty or cut short is refused") {
    test::TemporaryFolder folder;
    CHECK_THROWS_AS(SafetensorsReader(folder.path() / "missing"), Error);
    const auto path = folder.path() / "short.safetensors";
    const std::string whole = file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        write_file_atomically(path, std::string_view(whole).substr(0, length));
        CHECK_THROWS_AS(SafetensorsReader(path), Error);
    }
    write_file_atomically(path, whole);
    CHECK(SafetensorsReader(path).tensors().size() == 1);
}
