#include "support/fuzz_target.hpp"

#include "base/error.hpp"
#include "torch_bytes.hpp"

namespace terrane::test {

namespace {

/// What an input is taken for, by its first byte.
enum class FuzzForm : std::uint8_t {
    file,         ///< a whole file of any format
    archive,      ///< the pickle of an intact archive
    stream,       ///< the pickle of an intact legacy stream
    safetensors,  ///< the JSON header of a safetensors file, with 64 bytes of data
};
constexpr std::uint8_t fuzz_forms = 4;

const std::string six = floats({0, 1, 2, 3, 4, 5});

std::string file_of(FuzzForm form, const std::string& content) {
    switch (form) {
        case FuzzForm::file:
            return content;
        case FuzzForm::archive:
            return archive(content, {{"0", six}, {"1", six}});
        case FuzzForm::stream:
            return legacy_stream(content, {{"0", {6, six}}, {"1", {3, six}}});
        case FuzzForm::safetensors:
            return little(content.size(), 8) + content + std::string(64, '\x01');
    }
    return content;
}

std::string seed(FuzzForm form, const std::string& content) {
    return static_cast<char>(form) + content;
}

}  // namespace

FuzzVerdict fuzz_input(std::span<const std::uint8_t> input) {
    if (input.empty()) return FuzzVerdict::refused;
    const auto form = static_cast<FuzzForm>(input[0] % fuzz_forms);
    const std::string content(input.begin() + 1, input.end());
    try {
        const auto file = open_bytes(file_of(form, content));
        // Many names may share one storage; a few show all that reading can do.
        for (std::size_t i = 0; i < std::min<std::size_t>(file->tensors().size(), 32); ++i) {
            std::vector<std::byte> bytes(file->tensors()[i].spec.bytes());
            file->read(i, bytes);
        }
    } catch (const Error&) {
        return FuzzVerdict::refused;
    }
    return FuzzVerdict::read;
}

std::vector<std::string> fuzz_seeds() {
    const std::string zero = storage("FloatStorage", "0", 6);
    const std::string three = storage("DoubleStorage", "1", 3);
    const std::string views = "}(" + text("a") + tensor(zero, 0, {2, 3}, {3, 1}) + text("b.t") +
                              tensor(zero, 0, {3, 2}, {1, 3}) + text("c") + tensor(three, 1, {2}, {1}) + "u";
    const std::string module = global("net", "Net") + ")\x81}(" + text("_parameters") +
                               entry("weight", tensor(zero, 2, {2}, {1})) + text("_modules") + "}" + "ub";
    const std::string checkpoint = "}q" + std::string(1, '\0') + "(" + text("epoch") + integer(3) +
                                   text("args") + global("argparse", "Namespace") + ")\x81" +
                                   entry("lr", "G" + little(0x3ff0, 8)) + "b" + text("size") +
                                   global("torch", "Size") + "(" + tuple({1, 2}) + "tR" + text("model") +
                                   entry("state_dict", views) + text("self") + "h" + std::string(1, '\0') +
                                   text("list") + "](" + integer(1) + "N\x88\x89)\x85\x86" + "eu";
    const std::string ordered = global("collections", "OrderedDict") + "]" + text("w") +
                                tensor(zero, 0, {6}, {1}) + "\x86" + "a\x85R" + entry("_metadata", "}") + "b";
    const std::string parameter = entry("p", global("torch._utils", "_rebuild_parameter") + "(" +
                                                 tensor(zero, 0, {1, 6}, {6, 1}) + "\x88}tR");
    std::vector<std::string> seeds;
    for (const std::string& code : {views, module, checkpoint, ordered, parameter}) {
        seeds.push_back(seed(FuzzForm::archive, pickle(code)));
    }
    // Nothing but the pickle says how long a stream's storages are, so it has to use both.
    for (const std::string& code : {views, checkpoint}) seeds.push_back(seed(FuzzForm::stream, pickle(code)));
    seeds.push_back(seed(FuzzForm::file, file_of(FuzzForm::archive, pickle(views))));
    seeds.push_back(seed(FuzzForm::file, file_of(FuzzForm::stream, pickle(views))));
    const std::string header =
        R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,7],"data_offsets":[0,56]},"b":{"dtype":"I64","shape":[1],"data_offsets":[56,64]}})";
    seeds.push_back(seed(FuzzForm::safetensors, header));
    seeds.push_back(seed(FuzzForm::file, file_of(FuzzForm::safetensors, header)));
    return seeds;
}

}  // namespace terrane::test
