#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

OpCase resize(const std::string& name, Shape x, std::int64_t height, std::int64_t width, ops::Corners corners,
              Exact exact = Exact::no) {
    const std::string suffix = corners == ops::Corners::align_corners ? " align corners" : "";
    return {"resize " + name + suffix, ops::Resize{height, width, corners}, {activation(x)}, exact};
}

OpCase pool(const std::string& name, ops::Pool op, Shape x) {
    return {(op.kind == ops::PoolKind::maximum ? "max pool " : "average pool ") + name,
            op,
            {activation(x)},
            op.kind == ops::PoolKind::maximum ? Exact::yes : Exact::no,
            Zeros::expected};
}

OpCase adaptive_pool(const std::string& name, std::int64_t height, std::int64_t width, Shape x,
                     Exact exact = Exact::no) {
    return {"adaptive pool " + name, ops::AdaptivePool{height, width}, {activation(x)}, exact};
}

}  // namespace

std::vector<OpCase> map_cases() {
    using ops::Corners;
    using ops::PoolKind;
    using ops::Rounding;
    std::vector<OpCase> cases{
        resize("twice", {2, 3, 4, 5}, 6, 8, Corners::half_pixel, Exact::yes),
        resize("four times", {1, 5, 3, 16}, 20, 12, Corners::half_pixel, Exact::yes),
        resize("to the same size", {1, 4, 5, 6}, 4, 5, Corners::half_pixel, Exact::yes),
        resize("up unevenly", {2, 3, 5, 7}, 7, 8, Corners::half_pixel),
        resize("down unevenly", {1, 9, 7, 8}, 4, 3, Corners::half_pixel),
        resize("half", {1, 8, 6, 3}, 4, 3, Corners::half_pixel, Exact::yes),
        resize("far down", {1, 17, 13, 4}, 3, 2, Corners::half_pixel),
        resize("up and down", {1, 3, 11, 4}, 10, 4, Corners::half_pixel),
        resize("from one pixel", {2, 1, 1, 9}, 4, 5, Corners::half_pixel, Exact::yes),
        resize("to one pixel", {2, 4, 4, 3}, 1, 1, Corners::half_pixel, Exact::yes),
        resize("twice", {2, 3, 4, 5}, 6, 8, Corners::align_corners),
        resize("exact", {1, 3, 5, 16}, 5, 17, Corners::align_corners, Exact::yes),
        resize("down", {1, 9, 7, 8}, 4, 3, Corners::align_corners),
        resize("far down", {1, 17, 13, 4}, 3, 2, Corners::align_corners),
        resize("from one pixel", {2, 1, 1, 9}, 4, 5, Corners::align_corners, Exact::yes),
        resize("to one pixel", {2, 4, 4, 3}, 1, 1, Corners::align_corners, Exact::yes),
        resize("of a larger map four times", {2, 24, 20, 40}, 96, 80, Corners::half_pixel, Exact::yes),
        resize("of a larger map down", {1, 65, 47, 24}, 21, 30, Corners::half_pixel),
        resize("from one pixel to many", {3, 1, 1, 24}, 37, 41, Corners::half_pixel, Exact::yes),
        resize("from one pixel to many, odd channels", {2, 1, 1, 21}, 33, 300, Corners::half_pixel),
        resize("of bins", {2, 6, 6, 64}, 64, 64, Corners::half_pixel),
        resize("of few bins", {1, 2, 3, 512}, 16, 24, Corners::half_pixel, Exact::yes),
        resize("of bins", {2, 6, 6, 17}, 31, 29, Corners::align_corners),
        resize("up in rows and down in columns", {1, 3, 40, 8}, 45, 7, Corners::half_pixel),
        pool("3x3 stride 2", {}, {2, 7, 8, 5}),
        pool("3x3 stride 2 of a larger map", {}, {2, 63, 65, 24}),
        pool("2x2 stride 2", {.kernel = 2, .padding = 0}, {2, 6, 4, 16}),
        pool("2x2 stride 2 odd", {.kernel = 2, .padding = 0}, {1, 7, 5, 3}),
        pool("2x2 ceiling", {.kernel = 2, .padding = 0, .rounding = Rounding::ceiling}, {1, 7, 5, 9}),
        pool("3x3 ceiling", {.rounding = Rounding::ceiling}, {1, 6, 8, 4}),
        pool("3x3 ceiling dropping a window",
             {.kernel = 2, .stride = 3, .padding = 1, .rounding = Rounding::ceiling}, {1, 5, 5, 2}),
        pool("5x5 stride 1", {.kernel = 5, .stride = 1, .padding = 2}, {1, 6, 5, 7}),
        pool("on one pixel", {}, {2, 1, 1, 5}),
        pool("3x3 stride 2", {.kind = PoolKind::average}, {2, 7, 8, 5}),
        pool("2x2", {.kind = PoolKind::average, .kernel = 2, .padding = 0}, {2, 6, 4, 16}),
        pool("3x3 ceiling", {.kind = PoolKind::average, .rounding = Rounding::ceiling}, {1, 6, 8, 33}),
        pool("3x3 stride 1", {.kind = PoolKind::average, .stride = 1}, {1, 4, 5, 3}),
        adaptive_pool("global", 1, 1, {2, 4, 8, 5}, Exact::yes),
        adaptive_pool("global odd", 1, 1, {2, 5, 7, 17}),
        adaptive_pool("2x2 of odd", 2, 2, {1, 5, 7, 6}),
        adaptive_pool("3x3", 3, 3, {1, 8, 7, 16}),
        adaptive_pool("6x6 of smaller", 6, 6, {1, 4, 5, 3}),
        adaptive_pool("2x4 exact", 2, 4, {1, 4, 8, 4}, Exact::yes),
        adaptive_pool("6x6 of a larger map", 6, 6, {2, 32, 29, 48}),
        adaptive_pool("of one pixel", 2, 3, {2, 1, 1, 4}, Exact::yes),
    };
    // Far downsampling reads few pixels; all others have no gradient.
    for (OpCase& one : cases) {
        if (one.name.find("far down") != std::string::npos ||
            one.name.find("to one pixel") != std::string::npos) {
            one.zeros = Zeros::expected;
        }
    }
    for (OpCase& one : cases) {
        // A source's gradient is a sum over 9900 targets, of which the tolerance doesn't know.
        if (one.name == "resize from one pixel to many, odd channels") one.conditioning = 8;
    }
    return cases;
}

}  // namespace terrane::test
