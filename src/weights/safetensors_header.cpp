#include "weights/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "weights/printable.hpp"

namespace terrane::weights {

namespace {

using Json = nlohmann::json;

struct TypeName {
    std::string_view name;
    DType dtype;
};
constexpr std::array<TypeName, 11> type_names{{{"F32", DType::f32},
                                               {"BF16", DType::bf16},
                                               {"F16", DType::f16},
                                               {"F64", DType::f64},
                                               {"U8", DType::u8},
                                               {"I8", DType::i8},
                                               {"U16", DType::u16},
                                               {"I16", DType::i16},
                                               {"U32", DType::u32},
                                               {"I32", DType::i32},
                                               {"I64", DType::i64}}};

[[noreturn]] void refuse_file(std::string_view file, const std::string& reason) {
    throw Error(ExitCode::data_invalid, 601,
                fmt::format("{} is not a valid safetensors file: {}.", file, reason),
                "Copy or export the file again.");
}

[[noreturn]] void refuse_tensor(std::string_view file, std::string_view tensor, const std::string& reason) {
    throw Error(ExitCode::data_invalid, 602,
                fmt::format("{}, tensor \"{}\": {}.", file, printable(tensor), reason),
                "Copy or export the file again.");
}

// nlohmann's parser keeps its own stack, so depth can't overflow ours, but nothing in this format is deeper
// than tensor -> "shape" -> number, and of two equal keys the parser would silently keep the last.
Json parse_strictly(std::string_view json, std::string_view file) {
    std::vector<std::set<std::string, std::less<>>> keys;
    const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > 3) refuse_file(file, "its header is nested too deeply");
        switch (event) {
            case Json::parse_event_t::object_start:
                keys.emplace_back();
                break;
            case Json::parse_event_t::object_end:
                keys.pop_back();
                break;
            case Json::parse_event_t::key:
                if (!keys.back().insert(parsed.get<std::string>()).second) {
                    refuse_tensor(file, parsed.get<std::string>(), "the name appears twice");
                }
                break;
            case Json::parse_event_t::array_start:
            case Json::parse_event_t::array_end:
            case Json::parse_event_t::value:
                break;
        }
        return true;
    };
    try {
        return Json::parse(json, check);
    } catch (const Json::exception& error) {
        refuse_file(file, fmt::format("its header is not JSON ({})", printable(error.what())));
    }
}

std::optional<std::uint64_t> as_count(const Json& value) {
    if (!value.is_number_unsigned()) return std::nullopt;
    return value.get<std::uint64_t>();
}

TensorSpec parse_spec(const Json& entry, std::string_view name, std::string_view file) {
    if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets") || entry.size() != 3) {
        refuse_tensor(file, name, "its entry needs exactly dtype, shape and data_offsets");
    }
    if (!entry["dtype"].is_string()) refuse_tensor(file, name, "its dtype is not a string");
    const std::string& type = entry["dtype"].get_ref<const std::string&>();
    const auto found =
        std::find_if(type_names.begin(), type_names.end(), [&](const TypeName& t) { return t.name == type; });
    if (found == type_names.end())
        refuse_tensor(file, name, fmt::format("type {} is not supported", printable(type)));

    const Json& shape = entry["shape"];
    if (!shape.is_array() || shape.size() > static_cast<std::size_t>(Shape::max_rank)) {
        refuse_tensor(file, name,
                      fmt::format("its shape is not a list of at most {} sizes", Shape::max_rank));
    }
    TensorSpec spec{found->dtype, {}};
    std::array<std::int64_t, Shape::max_rank> sizes{};
    std::uint64_t elements = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const std::optional<std::uint64_t> size = as_count(shape[i]);
        constexpr std::uint64_t limit = std::uint64_t{1} << 48;
        if (!size || *size > limit || (*size != 0 && elements > limit / *size)) {
            refuse_tensor(file, name, "its shape is out of range");
        }
        sizes[i] = static_cast<std::int64_t>(*size);
        elements *= *size;
    }
    switch (shape.size()) {
        case 0:
            spec.shape = Shape{};
            break;
        case 1:
            spec.shape = Shape{sizes[0]};
            break;
        case 2:
            spec.shape = Shape{sizes[0], sizes[1]};
            break;
        case 3:
            spec.shape = Shape{sizes[0], sizes[1], sizes[2]};
            break;
        case 4:
            spec.shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3]};
            break;
        case 5:
            spec.shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]};
            break;
        case 6:
            spec.shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
            break;
    }
    return spec;
}

StoredTensor parse_tensor(const std::string& name, const Json& entry, std::uint64_t data_start,
                          std::uint64_t data_bytes, std::string_view file) {
    StoredTensor tensor{name, parse_spec(entry, name, file), 0};
    const Json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !as_count(offsets[0]) || !as_count(offsets[1])) {
        refuse_tensor(file, name, "its data_offsets are not two numbers");
    }
    const std::uint64_t begin = *as_count(offsets[0]);
    const std::uint64_t end = *as_count(offsets[1]);
    if (begin > end || end > data_bytes) {
        refuse_tensor(
            file, name,
            fmt::format("bytes {} to {} are outside of the file's {} data bytes", begin, end, data_bytes));
    }
    if (end - begin != tensor.spec.bytes()) {
        refuse_tensor(file, name,
                      fmt::format("{} {} needs {} bytes, not {}", name_of(tensor.spec.dtype),
                                  tensor.spec.shape.text(), tensor.spec.bytes(), end - begin));
    }
    tensor.offset = data_start + begin;
    return tensor;
}

}  // namespace

std::uint64_t safetensors_header_length(std::span<const std::byte> first_bytes, std::uint64_t file_size,
                                        std::string_view file) {
    if (file_size < 10 || first_bytes.size() < 8)
        refuse_file(file, fmt::format("it has only {} bytes", file_size));
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | std::to_integer<std::uint64_t>(first_bytes[static_cast<std::size_t>(i)]);
    if (length > longest_safetensors_header)
        refuse_file(file, fmt::format("its header claims {} bytes", length));
    if (length > file_size - 8) {
        refuse_file(file, fmt::format("its header claims {} bytes, the file has {}", length, file_size));
    }
    return length;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t file_size,
                                           std::string_view file) {
    const Json root = parse_strictly(json, file);
    if (!root.is_object()) refuse_file(file, "its header is not a JSON object");

    SafetensorsHeader header;
    const std::uint64_t data_start = 8 + json.size();
    const std::uint64_t data_bytes = file_size - data_start;
    for (const auto& [name, entry] : root.items()) {
        if (name != "__metadata__") {
            header.tensors.push_back(parse_tensor(name, entry, data_start, data_bytes, file));
            continue;
        }
        if (!entry.is_object()) refuse_file(file, "__metadata__ is not an object of strings");
        for (const auto& [key, value] : entry.items()) {
            if (!value.is_string()) refuse_file(file, "__metadata__ is not an object of strings");
            header.metadata.emplace(key, value.get<std::string>());
        }
    }

    std::sort(header.tensors.begin(), header.tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
        return a.offset != b.offset ? a.offset < b.offset : a.spec.bytes() < b.spec.bytes();
    });
    std::uint64_t expected = data_start;
    for (const StoredTensor& tensor : header.tensors) {
        if (tensor.offset != expected) {
            refuse_tensor(
                file, tensor.name,
                tensor.offset < expected ? "it overlaps another tensor" : "there is a gap before it");
        }
        expected += tensor.spec.bytes();
    }
    if (expected != file_size) {
        refuse_file(file, fmt::format("it has {} bytes, its tensors end at {}", file_size, expected));
    }
    return header;
}

std::string make_safetensors_header(SafetensorsHeader& header) {
    // Ordered, so that the text does not depend on a map's order but on the layout.
    nlohmann::ordered_json root = nlohmann::ordered_json::object();
    if (!header.metadata.empty()) root["__metadata__"] = header.metadata;
    std::uint64_t position = 0;
    for (StoredTensor& tensor : header.tensors) {
        nlohmann::ordered_json shape = nlohmann::ordered_json::array();
        for (int i = 0; i < tensor.spec.shape.rank(); ++i) shape.push_back(tensor.spec.shape[i]);
        const auto type = std::find_if(type_names.begin(), type_names.end(),
                                       [&](const TypeName& t) { return t.dtype == tensor.spec.dtype; });
        root[tensor.name] = {{"dtype", std::string(type->name)},
                             {"shape", std::move(shape)},
                             {"data_offsets", {position, position + tensor.spec.bytes()}}};
        tensor.offset = position;
        position += tensor.spec.bytes();
    }
    std::string json = root.dump();
    json.append((64 - (8 + json.size()) % 64) % 64, ' ');
    for (StoredTensor& tensor : header.tensors) tensor.offset += 8 + json.size();
    return json;
}

}  // namespace terrane::weights
