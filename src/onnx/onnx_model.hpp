#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace terrane::onnx_messages {
class Model;
class Node;
}  // namespace terrane::onnx_messages

namespace terrane::onnx {

/// An ONNX model while it is written, node by node. Tensors are known by unique names.
class OnnxModel {
  public:
    OnnxModel();
    ~OnnxModel();
    OnnxModel(const OnnxModel&) = delete;
    OnnxModel& operator=(const OnnxModel&) = delete;

    using Sizes = std::vector<std::int64_t>;

    struct Attributes {
        std::vector<std::pair<std::string, std::int64_t>> integers{};
        std::vector<std::pair<std::string, Sizes>> lists{};
        std::vector<std::pair<std::string, float>> reals{};
        std::vector<std::pair<std::string, std::string>> texts{};
    };

    void input(const std::string& name, const Sizes& sizes);
    void output(const std::string& name, const Sizes& sizes);
    void property(const std::string& key, const std::string& value);

    /// A name that nothing has yet.
    std::string fresh(const std::string& wish);
    /// Adds a constant tensor and returns its name.
    std::string constant(const std::string& wish, const Sizes& sizes, const std::vector<float>& values);
    std::string constant(const std::string& wish, const Sizes& values);
    /// Adds a node with one output and returns that output's name.
    std::string node(const std::string& type, const std::string& wish, const std::vector<std::string>& inputs,
                     const Attributes& attributes);
    std::string node(const std::string& type, const std::string& wish,
                     const std::vector<std::string>& inputs) {
        return node(type, wish, inputs, {});
    }
    /// Gives a tensor another name, that of an output.
    void rename(const std::string& from, const std::string& to);

    /// The file's bytes. Throws Error E0625 above 2 GB, the limit of the format without external files.
    std::string bytes() const;

  private:
    std::unique_ptr<onnx_messages::Model> model_;
    std::map<std::string, int> names_;
    std::size_t constant_bytes_ = 0;
};

}  // namespace terrane::onnx
