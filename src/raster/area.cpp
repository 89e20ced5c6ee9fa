#include "raster/area.hpp"

#include <ogr_api.h>

#include <cmath>
#include <limits>

#include "raster/gdal_handles.hpp"

namespace terrane::raster {

namespace {

struct DestroyGeometry {
    void operator()(OGRGeometryH geometry) const { OGR_G_DestroyGeometry(geometry); }
};
using GeometryHandle = std::unique_ptr<std::remove_pointer_t<OGRGeometryH>, DestroyGeometry>;

constexpr GIntBig most_features = 100'000;

GeometryHandle rectangle_polygon(const Bounds& b) {
    initialise_gdal();
    const OGRGeometryH ring = OGR_G_CreateGeometry(wkbLinearRing);
    OGR_G_AddPoint_2D(ring, b.west, b.south);
    OGR_G_AddPoint_2D(ring, b.east, b.south);
    OGR_G_AddPoint_2D(ring, b.east, b.north);
    OGR_G_AddPoint_2D(ring, b.west, b.north);
    OGR_G_AddPoint_2D(ring, b.west, b.south);
    GeometryHandle polygon(OGR_G_CreateGeometry(wkbPolygon));
    OGR_G_AddGeometryDirectly(polygon.get(), ring);
    return polygon;
}

}  // namespace

struct Area::Geometry {
    GeometryHandle whole;  // null: empty

    void add(GeometryHandle part) {
        if (whole == nullptr) {
            whole = std::move(part);
            return;
        }
        CPLErrorReset();
        GeometryHandle joined(OGR_G_Union(whole.get(), part.get()));
        if (joined == nullptr) {
            throw Error(ExitCode::data_invalid, 306,
                        fmt::format("the split's polygons can't be joined: {}.", gdal_message()),
                        "Repair them (ogr2ogr -makevalid).");
        }
        whole = std::move(joined);
    }
};

Area::Area() : geometry_(std::make_unique<Geometry>()) {}
Area::~Area() = default;
Area::Area(Area&&) noexcept = default;
Area& Area::operator=(Area&&) noexcept = default;

void Area::add(const Bounds& rectangle) {
    geometry_->add(rectangle_polygon(rectangle));
}

bool Area::contains(const Bounds& rectangle) const {
    if (geometry_->whole == nullptr) return false;
    const GeometryHandle polygon = rectangle_polygon(rectangle);
    if (OGR_G_Contains(geometry_->whole.get(), polygon.get()) != 0) return true;
    // A tile that ends on the border of a rectangle given in decimals may reach past it by rounding.
    const GeometryHandle outside(OGR_G_Difference(polygon.get(), geometry_->whole.get()));
    return outside != nullptr && OGR_G_Area(outside.get()) <= 1e-9 * OGR_G_Area(polygon.get());
}

double Area::distance(const Bounds& rectangle) const {
    if (geometry_->whole == nullptr) return std::numeric_limits<double>::infinity();
    return OGR_G_Distance(geometry_->whole.get(), rectangle_polygon(rectangle).get());
}

std::vector<Bounds> Area::parts() const {
    std::vector<Bounds> result;
    if (geometry_->whole == nullptr) return result;
    const auto add = [&](OGRGeometryH polygon) {
        OGREnvelope envelope;
        OGR_G_GetEnvelope(polygon, &envelope);
        result.push_back({envelope.MinX, envelope.MinY, envelope.MaxX, envelope.MaxY});
    };
    const OGRGeometryH whole = geometry_->whole.get();
    if (OGR_GT_Flatten(OGR_G_GetGeometryType(whole)) == wkbPolygon) {
        add(whole);
    } else {
        for (int i = 0; i < OGR_G_GetGeometryCount(whole); ++i) add(OGR_G_GetGeometryRef(whole, i));
    }
    return result;
}

double Area::common_with(const Area& other) const {
    if (geometry_->whole == nullptr || other.geometry_->whole == nullptr) return 0;
    const GeometryHandle common(OGR_G_Intersection(geometry_->whole.get(), other.geometry_->whole.get()));
    return common == nullptr ? 0 : OGR_G_Area(common.get());
}

std::map<std::string, Area> read_areas(const std::filesystem::path& file, const std::string& field,
                                       const std::string& crs) {
    initialise_gdal();
    if (!std::filesystem::exists(file)) {
        throw Error(ExitCode::input_missing, 201,
                    fmt::format("{} can't be opened: there is no such file.", file.string()));
    }
    const auto refuse = [&](const std::string& why, const std::string& fix = {}) -> Error {
        return Error(ExitCode::data_invalid, 306, fmt::format("{} {}.", file.string(), why), fix);
    };
    CPLErrorReset();
    const DatasetHandle dataset(GDALOpenEx(
        file.c_str(), GDAL_OF_VECTOR | GDAL_OF_READONLY | GDAL_OF_VERBOSE_ERROR, nullptr, nullptr, nullptr));
    if (dataset == nullptr) throw refuse("is no vector file that GDAL can open: " + gdal_message());
    const OGRLayerH layer = GDALDatasetGetLayer(dataset.get(), 0);
    if (layer == nullptr) throw refuse("has no layer");
    const int field_index = OGR_FD_GetFieldIndex(OGR_L_GetLayerDefn(layer), field.c_str());
    if (field_index < 0)
        throw refuse(fmt::format("has no field '{}'", field),
                     "Give each polygon its split: train, val or test.");
    const OGRSpatialReferenceH own = OGR_L_GetSpatialRef(layer);
    if (own == nullptr)
        throw Error(ExitCode::data_invalid, 203, fmt::format("{} has no CRS.", file.string()),
                    "Write it with one.");
    OSRSetAxisMappingStrategy(own, OAMS_TRADITIONAL_GIS_ORDER);
    const ReferenceHandle target = make_reference(crs, "grid CRS");
    const TransformationHandle transformation(OCTNewCoordinateTransformation(own, target.get()));
    if (transformation == nullptr) {
        throw Error(
            ExitCode::data_invalid, 203,
            fmt::format("{} can't be moved to {}: {}.", file.string(), crs_name(crs), gdal_message()));
    }
    std::map<std::string, Area> areas;
    OGR_L_ResetReading(layer);
    struct DestroyFeature {
        void operator()(OGRFeatureH feature) const { OGR_F_Destroy(feature); }
    };
    GIntBig count = 0;
    for (;;) {
        CPLErrorReset();
        const std::unique_ptr<std::remove_pointer_t<OGRFeatureH>, DestroyFeature> feature(
            OGR_L_GetNextFeature(layer));
        if (feature == nullptr) break;
        if (++count > most_features) throw refuse(fmt::format("has more than {} features", most_features));
        const OGRGeometryH found = OGR_F_GetGeometryRef(feature.get());
        if (found == nullptr) continue;
        const OGRwkbGeometryType type = OGR_GT_Flatten(OGR_G_GetGeometryType(found));
        if (type != wkbPolygon && type != wkbMultiPolygon) {
            throw refuse(fmt::format("holds a {}, but splits are polygons", OGRGeometryTypeToName(type)));
        }
        GeometryHandle polygon(OGR_G_Clone(found));
        OGR_G_FlattenTo2D(polygon.get());
        if (OGR_G_Transform(polygon.get(), transformation.get()) != OGRERR_NONE) {
            throw refuse(
                fmt::format("holds a polygon that can't be moved to {}: {}", crs_name(crs), gdal_message()));
        }
        if (OGR_G_IsValid(polygon.get()) == 0) polygon.reset(OGR_G_MakeValid(polygon.get()));
        if (polygon == nullptr) throw refuse("holds an invalid polygon", "Repair it (ogr2ogr -makevalid).");
        areas[OGR_F_GetFieldAsString(feature.get(), field_index)].geometry_->add(std::move(polygon));
    }
    if (CPLGetLastErrorType() >= CE_Failure) throw refuse("can't be read: " + gdal_message());
    if (areas.empty()) throw refuse("has no polygons");
    return areas;
}

}  // namespace terrane::raster
