/// The numbers of an import: layout, bands, positions.
#include "weights/import_plan.hpp"
#include "weights/positions.hpp"

namespace terrane::weights {

namespace {

std::vector<float> numbers_of(const TensorFile& file, std::size_t source) {
    const TensorSpec& spec = file.tensors()[source].spec;
    std::vector<std::byte> bytes(spec.bytes());
    file.read(source, bytes);
    return to_floats(spec.dtype, bytes);
}

// [outer, channels, pixels] to [outer, pixels, channels].
std::vector<float> channels_last(const std::vector<float>& values, std::int64_t outer, std::int64_t channels,
                                 std::int64_t pixels) {
    std::vector<float> result(values.size());
    std::size_t to = 0;
    for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t p = 0; p < pixels; ++p) {
            for (std::int64_t c = 0; c < channels; ++c) {
                result[to++] = values[static_cast<std::size_t>((o * channels + c) * pixels + p)];
            }
        }
    }
    return result;
}

// Filters [outer, from] to [outer, to], `from` and `to` being bands. Summed for a single band, as timm does:
// a grey image has the same values in all three.
std::vector<float> with_bands(const std::vector<float>& values, std::int64_t outer, std::int64_t from,
                              std::int64_t to, BandExtension method) {
    std::vector<float> result(static_cast<std::size_t>(outer * to), 0.0f);
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    for (std::int64_t o = 0; o < outer; ++o) {
        const float* source = values.data() + o * from;
        float* target = result.data() + o * to;
        if (method == BandExtension::zero) {
            for (std::int64_t c = 0; c < std::min(from, to); ++c) target[c] = source[c];
        } else if (to == 1) {
            for (std::int64_t c = 0; c < from; ++c) target[0] += source[c];
        } else {
            for (std::int64_t c = 0; c < to; ++c) target[c] = source[c % from] * scale;
        }
    }
    return result;
}

// The first convolution with a file's bands, in terrane's layout.
std::vector<float> first_convolution(std::vector<float> values, const Shape& source, const Shape& target,
                                     const ImportOptions& options) {
    const std::int64_t pixels = target[1] * target[2];
    const std::int64_t bands = static_cast<std::int64_t>(values.size()) / (target[0] * pixels);
    // Flat rows are [C, R, S] too, whoever wrote them.
    if (options.layout == WeightLayout::pytorch || source.rank() == 2) {
        values = channels_last(values, target[0], bands, pixels);
    }
    if (bands == target[3]) return values;
    return with_bands(values, target[0] * pixels, bands, target[3], options.bands);
}

}  // namespace

std::vector<float> import_values(const TensorFile& file, const ImportPlan& plan, const ImportItem& item) {
    const Shape& target = plan.targets[item.target].shape;
    const Shape& source = file.tensors()[item.sources[0]].spec.shape;
    std::vector<float> values = numbers_of(file, item.sources[0]);
    switch (item.fit) {
        case Fit::same:
            if (source.rank() == 4 && plan.options.layout == WeightLayout::pytorch) {
                values = channels_last(values, source[0], source[1], source[2] * source[3]);
            } else if (source.rank() == 2 && target.rank() == 4 && target[1] * target[2] > 1) {
                values = first_convolution(std::move(values), source, target, plan.options);
            }
            break;
        case Fit::joined:
            for (std::size_t i = 1; i < item.sources.size(); ++i) {
                const std::vector<float> part = numbers_of(file, item.sources[i]);
                values.insert(values.end(), part.begin(), part.end());
            }
            break;
        case Fit::resized:
            values = resize_positions(values, target[2], target[1], plan.options.positions);
            break;
        case Fit::extended:
            values = first_convolution(std::move(values), source, target, plan.options);
            break;
    }
    TERRANE_ASSERT(static_cast<std::int64_t>(values.size()) == target.elements(), "{} numbers for {} {}",
                   values.size(), plan.targets[item.target].name, target.text());
    if (item.scale) {
        const std::vector<float> scale = numbers_of(file, *item.scale);
        const std::size_t row = values.size() / scale.size();
        for (std::size_t i = 0; i < values.size(); ++i) values[i] *= scale[i / row];
    }
    return values;
}

}  // namespace terrane::weights
