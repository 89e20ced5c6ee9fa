#include "raster/coordinate_transform.hpp"

#include <mutex>
#include <vector>

#include "raster/gdal_handles.hpp"

namespace terrane::raster {

struct CoordinateTransform::State {
    std::mutex mutex;  // a PROJ object serves one thread at a time
    TransformationHandle transformation;
    std::string from;
    std::string to;
};

CoordinateTransform::CoordinateTransform(const std::string& from, const std::string& to, const Bounds& area)
    : state_(std::make_unique<State>()) {
    state_->transformation = make_transformation(from, to, &area);
    state_->from = from;
    state_->to = to;
}

CoordinateTransform::~CoordinateTransform() = default;
CoordinateTransform::CoordinateTransform(CoordinateTransform&&) noexcept = default;
CoordinateTransform& CoordinateTransform::operator=(CoordinateTransform&&) noexcept = default;

void CoordinateTransform::apply(std::span<double> x, std::span<double> y) const {
    TERRANE_ASSERT(x.size() == y.size(), "{} eastings and {} northings", x.size(), y.size());
    std::vector<int> success(x.size());
    const std::scoped_lock lock(state_->mutex);
    CPLErrorReset();
    OCTTransformEx(state_->transformation.get(), static_cast<int>(x.size()), x.data(), y.data(), nullptr,
                   success.data());
    for (const int good : success) {
        if (good != 0) continue;
        throw Error(ExitCode::data_invalid, 203,
                    fmt::format("a point of {} can't be expressed in {}: {}.", crs_name(state_->from),
                                crs_name(state_->to), gdal_message()));
    }
}

}  // namespace terrane::raster
