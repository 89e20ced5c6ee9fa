#pragma once

#include <string>
#include <utility>
#include <vector>

namespace terrane::report {

/// A curve of a chart; points ascend in x.
struct Curve {
    std::string name;
    std::string color;  ///< "#1f77b4"
    std::vector<std::pair<double, double>> points;
};

/// Text for HTML and SVG, outside of tags or as the value of an attribute. Control characters become spaces.
std::string escaped(const std::string& text);

/// The curves over their steps as an <svg> element to be put into HTML, axes with round numbers; empty if no
/// curve has a point. Curves of many points are drawn as means of runs of neighbours.
std::string svg_chart(const std::string& title, const std::vector<Curve>& curves);

}  // namespace terrane::report
