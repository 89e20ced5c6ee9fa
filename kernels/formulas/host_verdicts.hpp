#pragma once

#include "device/flat_kernels.hpp"
#include "formulas/update_verdict.hpp"

namespace terrane::formulas {

/// The scalar part of FlatKernels where device memory is the host's.
class HostVerdicts : public device::FlatKernels {
  public:
    void total_losses(std::span<const device::LossTerm> losses, double* totals) override {
        formulas::total_losses(losses.data(), std::ssize(losses), totals);
    }
    void gather(const device::UpdateFacts& facts, device::UpdateRecord* record) override {
        formulas::gather(facts, *record);
    }
    void judge(const device::UpdateRules& rules, device::UpdateRecord* record, float* loss_scale) override {
        formulas::judge(rules, *record);
        if (loss_scale != nullptr) *loss_scale = static_cast<float>(record->loss_scale.value);
    }
};

}  // namespace terrane::formulas
