#include "train/divergence.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace terrane::train {

namespace {

using Json = nlohmann::ordered_json;

// JSON has no number for what is not finite.
Json number(double value) {
    if (std::isfinite(value)) return value;
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number(const Json& json) {
    if (json.is_number()) return json.get<double>();
    const auto text = json.get<std::string>();
    if (text == "nan") return NAN;
    return text == "inf" ? INFINITY : -INFINITY;
}

Json to_object(const MicroStepRecord& record) {
    return {{"rank", record.rank},
            {"micro_step", record.micro_step},
            {"loss", number(record.loss)},
            {"tiles", record.tiles}};
}

const char* name_of(TensorRange::Kind kind) {
    switch (kind) {
        case TensorRange::Kind::parameter:
            return "parameter";
        case TensorRange::Kind::gradient:
            return "gradient";
        case TensorRange::Kind::state:
            return "state";
    }
    return "?";
}

TensorRange range_of(const std::string& name, TensorRange::Kind kind, const TensorView& tensor,
                     device::Backend& backend) {
    TensorRange range{name, kind, tensor.spec.shape.elements(), 0, 0};
    std::vector<std::byte> copy(tensor.bytes());
    backend.copy_to_host(copy.data(), tensor.data, copy.size());
    const auto look = [&](auto values) {
        for (const auto value : values) {
            if (std::isfinite(value)) {
                range.largest = std::max(range.largest, std::abs(static_cast<double>(value)));
            } else {
                ++range.not_finite;
            }
        }
    };
    const TensorView host{copy.data(), tensor.spec};
    if (tensor.dtype() == DType::f32) look(host.span<float>());
    if (tensor.dtype() == DType::f64) look(host.span<double>());
    return range;
}

}  // namespace

std::vector<MicroStepRecord> gather_records(const std::vector<MicroStepRecord>& own,
                                            comm::Communicator& communicator) {
    Json list = Json::array();
    for (const MicroStepRecord& record : own) list.push_back(to_object(record));
    std::vector<MicroStepRecord> all;
    for (const std::string& text :
         communicator.all_gather(list.dump(-1, ' ', false, Json::error_handler_t::replace))) {
        for (const Json& object : Json::parse(text)) {
            all.push_back({object.at("rank").get<std::int64_t>(), object.at("micro_step").get<std::int64_t>(),
                           number(object.at("loss")), object.at("tiles").get<std::vector<std::string>>()});
        }
    }
    return all;
}

std::string suspects_text(const std::vector<MicroStepRecord>& records) {
    const auto is_bad = [](const MicroStepRecord& record) { return !std::isfinite(record.loss); };
    const bool any = std::any_of(records.begin(), records.end(), is_bad);
    std::string text;
    std::int64_t rank = -1;
    for (const MicroStepRecord& record : records) {
        if (any && !is_bad(record)) continue;
        for (const std::string& tile : record.tiles) {
            if (record.rank != rank) {
                text += fmt::format("{} Tiles of rank {}: {}", rank < 0 ? "" : ".", record.rank, tile);
                rank = record.rank;
            } else {
                text += ", " + tile;
            }
        }
    }
    return text.empty() ? text : text + ".";
}

std::vector<TensorRange> tensor_ranges(const graph::ParameterStore& store, device::Backend& backend) {
    std::vector<TensorRange> ranges;
    for (const auto& entry : store.entries()) {
        ranges.push_back(range_of(entry.name, TensorRange::Kind::parameter, store.parameter(entry), backend));
        if (entry.trainable == graph::Trainable::yes) {
            ranges.push_back(
                range_of(entry.name, TensorRange::Kind::gradient, store.gradient(entry), backend));
        }
    }
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes)
            ranges.push_back(range_of(state.name, TensorRange::Kind::state, state.view(), backend));
    }
    return ranges;
}

std::string to_json(const Divergence& divergence) {
    Json json = {{"format", 1},
                 {"step", divergence.step},
                 {"what", divergence.what},
                 {"skipped_in_row", divergence.skipped_in_row},
                 {"micro_steps", Json::array()},
                 {"tensors", Json::array()}};
    for (const MicroStepRecord& record : divergence.micro_steps)
        json["micro_steps"].push_back(to_object(record));
    for (const TensorRange& range : divergence.tensors) {
        json["tensors"].push_back({{"name", range.name},
                                   {"kind", name_of(range.kind)},
                                   {"elements", range.elements},
                                   {"not_finite", range.not_finite},
                                   {"largest", range.largest}});
    }
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace terrane::train
