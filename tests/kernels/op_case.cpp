#include "kernels/op_case.hpp"

#include <cstdlib>

namespace terrane::test {

bool OpCase::has_backward() const {
    return !std::holds_alternative<ops::Classify>(op) && !std::holds_alternative<ops::Softmax>(op);
}

bool OpCase::is_loss() const {
    return std::holds_alternative<ops::CrossEntropy>(op) || std::holds_alternative<ops::Dice>(op);
}

std::vector<OpCase> selected_cases() {
    const char* wanted = std::getenv("TERRANE_CASE");
    std::vector<OpCase> result;
    for (auto* family :
         {product_cases, norm_cases, map_cases, pointwise_cases, class_cases, attention_cases}) {
        for (OpCase& one : family()) {
            if (wanted == nullptr || one.name == wanted) result.push_back(std::move(one));
        }
    }
    TERRANE_ASSERT(!result.empty(), "no op case is called '{}'", wanted);
    return result;
}

}  // namespace terrane::test
