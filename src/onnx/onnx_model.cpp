#include "onnx/onnx_model.hpp"

#include "base/error.hpp"
#include "onnx_messages.pb.h"

namespace terrane::onnx {

namespace {

constexpr std::int64_t ir_version = 8;
constexpr std::int64_t operator_set = 17;
constexpr std::size_t most_bytes = 2'000'000'000;

void describe(onnx_messages::ValueInfo& value, const std::string& name, const OnnxModel::Sizes& sizes) {
    value.set_name(name);
    auto& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx_messages::Tensor::FLOAT);
    for (const std::int64_t size : sizes) tensor.mutable_shape()->add_dim()->set_dim_value(size);
}

template <typename T>
void fill(onnx_messages::Tensor& tensor, const OnnxModel::Sizes& sizes, const std::vector<T>& values) {
    for (const std::int64_t size : sizes) tensor.add_dims(size);
    tensor.set_raw_data(values.data(), values.size() * sizeof(T));
}

}  // namespace

OnnxModel::OnnxModel() : model_(std::make_unique<onnx_messages::Model>()) {
    model_->set_ir_version(ir_version);
    model_->set_producer_name("terrane");
    model_->add_opset_import()->set_version(operator_set);
    model_->mutable_opset_import(0)->set_domain("");
    model_->mutable_graph()->set_name("terrane");
}

OnnxModel::~OnnxModel() = default;

void OnnxModel::input(const std::string& name, const Sizes& sizes) {
    TERRANE_ASSERT(names_.emplace(name, 0).second, "two inputs are called {}", name);
    describe(*model_->mutable_graph()->add_input(), name, sizes);
}

void OnnxModel::output(const std::string& name, const Sizes& sizes) {
    describe(*model_->mutable_graph()->add_output(), name, sizes);
}

void OnnxModel::property(const std::string& key, const std::string& value) {
    auto& property = *model_->add_metadata_props();
    property.set_key(key);
    property.set_value(value);
}

std::string OnnxModel::fresh(const std::string& wish) {
    std::string name = wish;
    while (!names_.emplace(name, 0).second) name = wish + "_" + std::to_string(++names_[wish]);
    return name;
}

std::string OnnxModel::constant(const std::string& wish, const Sizes& sizes,
                                const std::vector<float>& values) {
    auto& tensor = *model_->mutable_graph()->add_initializer();
    tensor.set_name(fresh(wish));
    tensor.set_data_type(onnx_messages::Tensor::FLOAT);
    fill(tensor, sizes, values);
    constant_bytes_ += tensor.raw_data().size();
    return tensor.name();
}

std::string OnnxModel::constant(const std::string& wish, const Sizes& values) {
    auto& tensor = *model_->mutable_graph()->add_initializer();
    tensor.set_name(fresh(wish));
    tensor.set_data_type(onnx_messages::Tensor::INT64);
    fill(tensor, {static_cast<std::int64_t>(values.size())}, values);
    return tensor.name();
}

std::string OnnxModel::node(const std::string& type, const std::string& wish,
                            const std::vector<std::string>& inputs, const Attributes& attributes) {
    auto& node = *model_->mutable_graph()->add_node();
    const std::string name = fresh(wish);
    node.set_op_type(type);
    node.set_name(name);
    node.add_output(name);
    for (const std::string& input : inputs) node.add_input(input);
    const auto add = [&](const std::string& key, onnx_messages::Attribute::Type kind) -> auto& {
        auto& attribute = *node.add_attribute();
        attribute.set_name(key);
        attribute.set_type(kind);
        return attribute;
    };
    for (const auto& [key, value] : attributes.integers) add(key, onnx_messages::Attribute::INT).set_i(value);
    for (const auto& [key, value] : attributes.reals) add(key, onnx_messages::Attribute::FLOAT).set_f(value);
    for (const auto& [key, value] : attributes.texts) add(key, onnx_messages::Attribute::STRING).set_s(value);
    for (const auto& [key, values] : attributes.lists) {
        auto& attribute = add(key, onnx_messages::Attribute::INTS);
        for (const std::int64_t value : values) attribute.add_ints(value);
    }
    return name;
}

void OnnxModel::rename(const std::string& from, const std::string& to) {
    auto& node = *model_->mutable_graph()->add_node();
    node.set_op_type("Identity");
    node.set_name(fresh(to + ".output"));
    node.add_input(from);
    node.add_output(to);
    names_.emplace(to, 0);
}

std::string OnnxModel::bytes() const {
    if (constant_bytes_ > most_bytes) {
        throw Error(
            ExitCode::data_invalid, 625,
            fmt::format("the weights have {} bytes, an ONNX file holds at most 2 GB.", constant_bytes_),
            "Export as .safetensors.");
    }
    std::string bytes;
    TERRANE_ASSERT(model_->SerializeToString(&bytes), "the ONNX model can't be serialised");
    return bytes;
}

}  // namespace terrane::onnx
