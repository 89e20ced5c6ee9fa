#include "cuda/feed.hpp"

namespace terrane::cuda {

Feed::Marks& Feed::marks(int place) {
    while (marks_.size() <= static_cast<std::size_t>(place)) marks_.push_back(std::make_unique<Marks>());
    return *marks_[static_cast<std::size_t>(place)];
}

void Feed::begin(const std::byte* slot) {
    order_.begin(slot);
    begun_ = true;
}

void Feed::end(const std::byte* slot) {
    order_.end(slot);
    begun_ = false;
}

void Feed::use(const std::byte* slot) {
    order_.use(slot);
}

template <typename Call>
void Feed::alone(const TensorView& output, Call call) {
    if (begun_) return call();
    begin(output.data);
    call();
    end(output.data);
    use(output.data);
}

void Feed::assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) {
    alone(sample.output, [&] { kernels_.assemble(sample, transform); });
}

void Feed::assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                           const TensorView& output, std::uint8_t outside) {
    alone(output, [&] { kernels_.assemble_labels(tile, transform, output, outside); });
}

void Feed::write(std::span<const float> values, const TensorView& output) {
    alone(output, [&] { kernels_.write(values, output); });
}

}  // namespace terrane::cuda
