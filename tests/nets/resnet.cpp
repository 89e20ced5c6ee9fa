#include "nets/resnet.hpp"

#include "support/catch.hpp"

using namespace terrane;
using nets::FirstBlock;
using nets::ResNetDesign;
using nets::ResNetLayout;

namespace {

/// The shape after stem and stages of one image.
struct Shapes {
    Shape stem;
    std::array<Shape, 4> stages;
    graph::Graph graph;
};

Shapes shapes_of(const ResNetDesign& design, const ResNetLayout& layout, std::int64_t size) {
    graph::GraphBuilder build(device::Mode::inference, DType::f32);
    const nets::ResNetEncoder encoder(design, nets::NormKind::batch, layout);
    graph::ValueId x = build.input("image", {DType::f32, Shape{1, size, size, 3}});
    Shapes shapes;
    x = encoder.stem(build, x);
    shapes.stem = build.shape_of(x);
    for (int stage = 1; stage <= 4; ++stage) {
        x = encoder.stage(build, stage, x);
        shapes.stages[static_cast<std::size_t>(stage - 1)] = build.shape_of(x);
    }
    shapes.graph = build.finish();
    return shapes;
}

const ops::Convolution& convolution(const graph::Graph& graph, const std::string& name) {
    for (const graph::Node& node : graph.nodes) {
        if (node.name == name) return std::get<ops::Convolution>(node.op);
    }
    FAIL("no node " << name);
    throw std::logic_error(name);
}

std::int64_t parameter_count(const graph::Graph& network) {
    std::int64_t count = 0;
    for (const graph::Value& value : network.values) {
        if (value.kind == graph::ValueKind::parameter) count += value.spec.shape.elements();
    }
    return count;
}

}  // namespace

TEST_CASE("an output stride of 8 dilates stages 3 and 4, each one's first block like the stage before",
          "[nets]") {
    const ResNetDesign design = nets::resnet_from_name("resnet50", 64);
    const ResNetLayout layout = nets::layout_for_output_stride(design, 1, 8);
    CHECK(layout.stage(2).stride == 2);
    CHECK(layout.stage(3).stride == 1);
    CHECK(layout.stage(3).dilations == std::vector<std::int64_t>{1, 2, 2, 2, 2, 2});
    CHECK(layout.stage(4).dilations == std::vector<std::int64_t>{2, 4, 4});
    const ResNetLayout same =
        nets::layout_of_stages(design, {1, 2, 1, 1}, {1, 1, 2, 4}, FirstBlock::contracted);
    for (int stage = 1; stage <= 4; ++stage) {
        CHECK(same.stage(stage).stride == layout.stage(stage).stride);
        CHECK(same.stage(stage).dilations == layout.stage(stage).dilations);
    }
}

TEST_CASE("a ResNet-50 V1c has MMSegmentation's maps and parameters", "[nets]") {
    ResNetDesign design = nets::resnet_from_name("resnet50", 64);
    design.stem = ResNetDesign::Stem::deep;
    const Shapes shapes = shapes_of(design, nets::layout_for_output_stride(design, 1, 8), 512);
    CHECK(shapes.stem == Shape{1, 256, 256, 64});
    CHECK(shapes.stages[0] == Shape{1, 128, 128, 256});
    CHECK(shapes.stages[1] == Shape{1, 64, 64, 512});
    CHECK(shapes.stages[2] == Shape{1, 64, 64, 1024});
    CHECK(shapes.stages[3] == Shape{1, 64, 64, 2048});
    CHECK(parameter_count(shapes.graph) == 23'527'264);
    CHECK(convolution(shapes.graph, "layer2.0.conv1").stride == 1);
    CHECK(convolution(shapes.graph, "layer2.0.conv2").stride == 2);
}

TEST_CASE("strides on the first convolution, a rounded-up pooling and a multi-grid can be described",
          "[nets]") {
    ResNetDesign design = nets::resnet_from_name("resnet50", 64);
    design.stride_on = ResNetDesign::StrideOn::first;
    design.pooling = ops::Rounding::ceiling;
    ResNetLayout layout = nets::layout_of_stages(design, {1, 2, 1, 1}, {1, 1, 2, 1}, FirstBlock::dilated);
    layout.stages[3].dilations = {4, 8, 16};
    const Shapes shapes = shapes_of(design, layout, 466);
    CHECK(shapes.stem == Shape{1, 233, 233, 64});
    CHECK(shapes.stages[0] == Shape{1, 117, 117, 256});
    CHECK(shapes.stages[3] == Shape{1, 59, 59, 2048});
    CHECK(parameter_count(shapes.graph) == 23'508'032);
    CHECK(convolution(shapes.graph, "layer2.0.conv1").stride == 2);
    CHECK(convolution(shapes.graph, "layer2.0.conv2").stride == 1);
    CHECK(convolution(shapes.graph, "layer3.0.conv2").dilation == 2);
    CHECK(convolution(shapes.graph, "layer4.1.conv2").dilation == 8);
    CHECK(convolution(shapes.graph, "layer4.2.conv2").padding == 16);

    design.pooling = ops::Rounding::floor;
    CHECK(shapes_of(design, layout, 464).stages[0] == Shape{1, 116, 116, 256});
    design.pooling = ops::Rounding::ceiling;
    CHECK(shapes_of(design, layout, 464).stages[0] == Shape{1, 117, 117, 256});
}
