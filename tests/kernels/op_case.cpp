#include "kernels/op_case.hpp"

#include <cstdlib>

namespace terrane::test {

namespace {

template <typename... Ops>
bool holds_any(const ops::Op& op) {
    return (std::holds_alternative<Ops>(op) || ...);
}

}  // namespace

bool OpCase::has_backward() const {
    return !holds_any<ops::Classify, ops::Diffuse, ops::HeightEncoding, ops::Patches, ops::SlopeMagnitude,
                      ops::SoftTargets, ops::Softmax, ops::StateBlend, ops::TimeEmbedding, ops::UniformState>(
        op);
}

bool OpCase::is_loss() const {
    return std::visit(
        [](const auto& kind) {
            return requires {
                kind.loss_weight;
            };
        },
        op);
}

namespace {

bool fits(const std::string& name, const std::string& wanted) {
    if (wanted.ends_with('*')) return name.starts_with(wanted.substr(0, wanted.size() - 1));
    return name == wanted;
}

}  // namespace

std::vector<OpCase> selected_cases() {
    const char* wanted = std::getenv("TERRANE_CASE");
    std::vector<OpCase> result;
    for (auto* family : {product_cases, norm_cases, map_cases, pointwise_cases, class_cases, attention_cases,
                         diffusion_cases}) {
        for (OpCase& one : family()) {
            if (wanted == nullptr || fits(one.name, wanted)) result.push_back(std::move(one));
        }
    }
    TERRANE_ASSERT(!result.empty(), "no op case is called '{}'", wanted);
    return result;
}

}  // namespace terrane::test
