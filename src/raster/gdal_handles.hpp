#pragma once

// Internal to src/raster: the only header that pulls in GDAL. Other modules use the GDAL-free headers beside
// it.
#include <cpl_error.h>
#include <cpl_string.h>
#include <gdal.h>
#include <ogr_srs_api.h>

#include <memory>
#include <string>
#include <type_traits>

#include "base/error.hpp"
#include "raster/grid.hpp"
#include "tensor/dtype.hpp"

namespace terrane::raster {

/// Registers the drivers once per process, without those that talk to networks, and routes GDAL's messages
/// into the exceptions of this module instead of to the terminal. Thread safe, cheap to repeat.
void initialise_gdal();

struct CloseDataset {
    void operator()(GDALDatasetH dataset) const { GDALClose(dataset); }
};
using DatasetHandle = std::unique_ptr<std::remove_pointer_t<GDALDatasetH>, CloseDataset>;

struct ReleaseReference {
    void operator()(OGRSpatialReferenceH reference) const { OSRRelease(reference); }
};
using ReferenceHandle = std::unique_ptr<std::remove_pointer_t<OGRSpatialReferenceH>, ReleaseReference>;

struct DestroyTransformation {
    void operator()(OGRCoordinateTransformationH transformation) const {
        OCTDestroyCoordinateTransformation(transformation);
    }
};
using TransformationHandle =
    std::unique_ptr<std::remove_pointer_t<OGRCoordinateTransformationH>, DestroyTransformation>;

/// A list of "NAME=value" options that frees itself.
class OptionList {
  public:
    OptionList() = default;
    ~OptionList() { CSLDestroy(list_); }
    OptionList(const OptionList&) = delete;
    OptionList& operator=(const OptionList&) = delete;
    void set(const char* name, const std::string& value) {
        list_ = CSLSetNameValue(list_, name, value.c_str());
    }
    char** get() const { return list_; }
    /// The list itself, for a structure that takes ownership.
    char** release() { return std::exchange(list_, nullptr); }

  private:
    char** list_ = nullptr;
};

/// GDAL's last message, or a stand-in when it left none.
std::string gdal_message();

/// A spatial reference in x, y axis order. Throws Error E0203.
ReferenceHandle make_reference(const std::string& crs, const std::string& where);
/// A transformation of coordinates; throws Error E0203 if PROJ knows none. With `area` (in `from`), the
/// operation is chosen once for that area, so that every call transforms alike.
TransformationHandle make_transformation(const std::string& from, const std::string& to, const Bounds* area);

GDALDataType gdal_type(DType dtype);

}  // namespace terrane::raster
