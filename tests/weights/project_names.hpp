#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/shape.hpp"

/// The tensors of other projects' checkpoints, written down from their descriptions and not from terrane's
/// networks: names and shapes as PyTorch has them.
namespace terrane::test {

class ProjectNames {
  public:
    struct Tensor {
        std::string name;
        std::vector<std::int64_t> sizes;

        std::int64_t elements() const;
    };

    void tensor(const std::string& name, std::vector<std::int64_t> sizes) {
        tensors_.push_back({name, std::move(sizes)});
    }
    enum class Bias { no, yes };
    void convolution(const std::string& name, std::int64_t out, std::int64_t in, std::int64_t kernel,
                     Bias bias = Bias::no);
    void linear(const std::string& name, std::int64_t out, std::int64_t in);
    /// Scale and shift.
    void affine(const std::string& name, std::int64_t channels);
    /// With running statistics and the counter of batches.
    void batch_norm(const std::string& name, std::int64_t channels);
    /// What `rename` makes of every name.
    template <typename Rename>
    ProjectNames renamed(Rename rename) const {
        ProjectNames result;
        for (const Tensor& one : tensors_) result.tensor(rename(one.name), one.sizes);
        return result;
    }
    void append(const ProjectNames& others) {
        tensors_.insert(tensors_.end(), others.tensors_.begin(), others.tensors_.end());
    }

    const std::vector<Tensor>& tensors() const { return tensors_; }

  private:
    std::vector<Tensor> tensors_;
};

/// A small vision transformer: what the names below are counted out for.
struct TransformerSizes {
    std::int64_t width = 24, depth = 4, patch = 16, tokens = 16;
};

/// timm: with the class token, the last norm and the classifier of 1000 classes.
ProjectNames timm_vision_transformer(const TransformerSizes& sizes);
/// VesselSETR, the whole network.
ProjectNames vessel_setr(const TransformerSizes& sizes, std::int64_t classes);
/// fudan-zvg/SETR with the multi-level aggregation head; without the classifiers that its heads inherit and
/// never use.
ProjectNames fudan_setr(const TransformerSizes& sizes, std::int64_t classes);
/// MMSegmentation's SETR-MLA.
ProjectNames mmseg_setr(const TransformerSizes& sizes, std::int64_t classes);
/// MMSegmentation's PSPNet and DeepLabV3 on ResNet-50 V1c whose first stage is `width` wide.
ProjectNames mmseg_pspnet(std::int64_t width, std::int64_t classes);
ProjectNames mmseg_deeplabv3(std::int64_t width, std::int64_t classes);
/// PKDiff at its published width.
ProjectNames pkdiff(std::int64_t bands, std::int64_t classes);
/// CDSP's res50_ASPP_lorm.
ProjectNames cdsp(std::int64_t width, std::int64_t classes);

}  // namespace terrane::test
