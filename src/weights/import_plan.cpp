#include "weights/import_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "weights/name_families.hpp"
#include "weights/positions.hpp"

namespace terrane::weights {

namespace {

using Entries = std::span<const TensorFile::Entry>;

/// The shape of a source in terrane's layout.
Shape converted(const Shape& shape, WeightLayout layout) {
    if (layout == WeightLayout::terrane || shape.rank() != 4) return shape;
    return {shape[0], shape[2], shape[3], shape[1]};
}

/// A 1x1 convolution [K, 1, 1, C] is a linear layer [K, C], whichever of them each side has.
Shape as_linear(const Shape& shape) {
    if (shape.rank() == 4 && shape[1] == 1 && shape[2] == 1) return {shape[0], shape[3]};
    return shape;
}

struct Fitting {
    std::optional<Fit> fit;
    std::string detail;  ///< or why it does not fit
};

Fitting fit_first_convolution(const Shape& source, const Shape& target, const ImportOptions& options) {
    // Patches flattened to rows, as the first releases of timm stored them.
    if (source.rank() == 2 && source[0] == target[0] && source[1] % (target[1] * target[2]) == 0) {
        const std::int64_t bands = source[1] / (target[1] * target[2]);
        if (bands == target[3]) return {Fit::same, ""};
        return {Fit::extended, fmt::format("{} bands to {}", bands, target[3])};
    }
    if (source.rank() != 4 || source[0] != target[0] || source[1] != target[1] || source[2] != target[2] ||
        source[3] == 0) {
        return {std::nullopt, ""};
    }
    const char* how = options.bands == BandExtension::zero ? "further bands zero"
                      : target[3] == 1                     ? "filters summed"
                                                           : "filters repeated and scaled";
    return {Fit::extended, fmt::format("{} bands to {}, {}", source[3], target[3], how)};
}

Fitting fit_positions(const Shape& source, const Shape& target) {
    if (source.rank() != 3 || source[0] != 1 || target[0] != 1 || source[2] != target[2])
        return {std::nullopt, ""};
    const PositionGrid from = position_grid(source[1]);
    const PositionGrid to = position_grid(target[1]);
    if (from.edge == 0 || to.edge == 0) return {std::nullopt, ""};
    return {Fit::resized, fmt::format("{0} x {0} positions and {1} tokens to {2} x {2} and {3}", from.edge,
                                      from.extra, to.edge, to.extra)};
}

Fitting fit_of(const Shape& raw, const ImportTarget& target, const ImportOptions& options) {
    const Shape source = converted(raw, options.layout);
    if (source == target.shape || as_linear(source) == as_linear(target.shape)) return {Fit::same, ""};
    Fitting fitting;
    if (target.shape.rank() == 4 && is_first_convolution(target.name)) {
        fitting = fit_first_convolution(source, target.shape, options);
    } else if (target.shape.rank() == 3 && is_position_table(target.name)) {
        fitting = fit_positions(source, target.shape);
    }
    if (!fitting.fit) {
        fitting.detail = fmt::format("{} in the file, {} in the network", source.text(), target.shape.text());
    }
    return fitting;
}

/// The tensors of the file by their common name.
std::map<std::string, std::size_t> common_names(Entries tensors, const NameFamily& family,
                                                std::vector<std::string>& notes) {
    std::map<std::string, std::size_t> names;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::string name = apply_rules(family.source_rules, tensors[i].name);
        if (!names.emplace(name, i).second) {
            notes.push_back(fmt::format("{} and {} are both called {}: the first is taken",
                                        tensors[names[name]].name, tensors[i].name, name));
        }
    }
    return names;
}

/// What stands before the family's anchor in the network's names; longest first.
std::vector<std::string> prefixes_of(const std::vector<ImportTarget>& targets, const NameFamily& family) {
    std::vector<std::string> prefixes;
    for (const ImportTarget& target : targets) {
        for (std::size_t dot = 0; dot != std::string::npos && !family.anchor.empty();) {
            const std::string tail = target.name.substr(dot);
            if (apply_rules(family.target_rules, tail) == family.anchor) {
                prefixes.push_back(target.name.substr(0, dot));
                break;
            }
            const std::size_t next = target.name.find('.', dot);
            dot = next == std::string::npos ? next : next + 1;
        }
    }
    std::sort(prefixes.begin(), prefixes.end(),
              [](const auto& a, const auto& b) { return a.size() > b.size(); });
    return prefixes;
}

std::string common_name(const std::string& target, const std::vector<std::string>& prefixes,
                        const NameFamily& family) {
    for (const std::string& prefix : prefixes) {
        if (target.starts_with(prefix)) return apply_rules(family.target_rules, target.substr(prefix.size()));
    }
    return apply_rules(family.target_rules, target);
}

class Planner {
  public:
    Planner(Entries tensors, const std::vector<ImportTarget>& targets, const ImportOptions& options,
            const NameFamily& family)
        : tensors_(tensors), family_(family), used_(tensors.size(), false) {
        plan_.family = family.name;
        plan_.options = options;
        plan_.targets = targets;
        names_ = common_names(tensors, family, plan_.notes);
        const std::vector<std::string> prefixes = prefixes_of(targets, family);
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const std::string name = common_name(targets[i].name, prefixes, family);
            if (!assign(i, name) && !join(i, name)) plan_.missing.push_back(targets[i].name);
        }
        fold_scales(prefixes);
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            if (!used_[i] && !is_negligible(tensors[i].name)) plan_.unexpected.push_back(tensors[i].name);
        }
    }

    /// How much of the network is filled, and then how little of the file is left over.
    std::pair<std::int64_t, std::int64_t> score() const {
        std::int64_t sum = 0;
        for (const ImportItem& item : plan_.items) sum += plan_.targets[item.target].shape.elements();
        return {sum, -static_cast<std::int64_t>(plan_.unexpected.size())};
    }
    ImportPlan take() { return std::move(plan_); }

  private:
    bool assign(std::size_t target, const std::string& name) {
        const auto found = names_.find(name);
        if (found == names_.end()) return false;
        const std::size_t source = found->second;
        const Fitting fitting = fit_of(tensors_[source].spec.shape, plan_.targets[target], plan_.options);
        if (!fitting.fit) {
            plan_.skipped.push_back({plan_.targets[target].name, tensors_[source].name, fitting.detail});
            used_[source] = true;  // mentioned already
            return false;
        }
        plan_.items.push_back({target, {source}, std::nullopt, *fitting.fit, fitting.detail});
        used_[source] = true;
        return true;
    }

    /// Queries, keys and values that the file keeps apart.
    bool join(std::size_t target, const std::string& name) {
        ImportItem item{target, {}, std::nullopt, Fit::joined, "queries, keys and values joined"};
        std::int64_t rows = 0;
        for (const std::string_view ending : qkv_endings) {
            const auto part = names_.find(name + std::string(ending));
            if (part == names_.end()) return false;
            const Shape& shape = tensors_[part->second].spec.shape;
            const Shape& whole = plan_.targets[target].shape;
            if (shape.rank() < 1 || shape.rank() != whole.rank() || shape.with(0, whole[0]) != whole)
                return false;
            rows += shape[0];
            item.sources.push_back(part->second);
        }
        if (rows != plan_.targets[target].shape[0]) return false;
        for (const std::size_t source : item.sources) used_[source] = true;
        plan_.items.push_back(std::move(item));
        return true;
    }

    /// x + g * (W a + b) = x + (g W) a + g b: layer scales that the network lacks go into the projections.
    void fold_scales(const std::vector<std::string>& prefixes) {
        constexpr std::pair<const char*, const char*> projections[] = {{".attn.proj.", ".scale1"},
                                                                       {".mlp.fc2.", ".scale2"}};
        for (ImportItem& item : plan_.items) {
            const std::string name = common_name(plan_.targets[item.target].name, prefixes, family_);
            for (const auto& [projection, scale] : projections) {
                const std::size_t at = name.find(projection);
                if (at == std::string::npos) continue;
                const auto found = names_.find(name.substr(0, at) + scale);
                if (found == names_.end()) continue;
                const Shape& shape = tensors_[found->second].spec.shape;
                if (shape.rank() != 1 || shape[0] != plan_.targets[item.target].shape[0]) continue;
                item.scale = found->second;
                item.detail = "times the layer scale";
                used_[found->second] = true;
            }
        }
    }

    Entries tensors_;
    const NameFamily& family_;
    std::vector<bool> used_;
    std::map<std::string, std::size_t> names_;
    ImportPlan plan_;
};

}  // namespace

ImportPlan plan_import(Entries tensors, std::vector<ImportTarget> targets, const ImportOptions& options) {
    std::optional<ImportPlan> best;
    std::pair<std::int64_t, std::int64_t> most{-1, 0};
    for (const NameFamily& family : name_families()) {
        Planner planner(tensors, targets, options, family);
        if (planner.score() <= most) continue;
        most = planner.score();
        best = planner.take();
    }
    return std::move(*best);
}

ImportPlan plan_import(const TensorFile& file, std::vector<ImportTarget> targets,
                       const ImportOptions& options) {
    ImportPlan plan = plan_import(file.tensors(), std::move(targets), options);
    plan.file = file.file();
    plan.notes.insert(plan.notes.begin(), file.notes().begin(), file.notes().end());
    return plan;
}

std::set<std::string> ImportPlan::loaded_names() const {
    std::set<std::string> names;
    for (const ImportItem& item : items) names.insert(targets[item.target].name);
    return names;
}

}  // namespace terrane::weights
