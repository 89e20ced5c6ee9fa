#include "raster/gdal_handles.hpp"

#include <cpl_conv.h>
#include <ogr_spatialref.h>

#include <cstdlib>
#include <mutex>

#include "base/log.hpp"
#include "raster/placement.hpp"

namespace terrane::raster {

namespace {

// Debug and warning messages go to the log; failures are left for CPLGetLastErrorMsg, which the exceptions
// quote.
void CPL_STDCALL log_message(CPLErr severity, CPLErrorNum, const char* message) {
    if (severity == CE_Debug || severity == CE_Warning) log::debug("gdal: {}", message);
}

}  // namespace

void initialise_gdal() {
    static std::once_flag once;
    std::call_once(once, [] {
        CPLSetErrorHandler(log_message);
        // A raster file must not be able to make the program talk to a network. Grids of datum shifts, the
        // last line, are no pictures, and their readers allocate whatever the first bytes claim: 2 GB for 148
        // bytes.
        const char* skip =
            "WMS WCS WMTS HTTP PLMOSAIC PLSCENES PostGISRaster PostgreSQL MySQL MSSQLSpatial EEDA EEDAI DAAS "
            "OGCAPI "
            "STACTA STACIT NGW WFS OAPIF CSW Carto AmigoCloud GMLAS Elasticsearch ElasticSearch "
            "CTable2 NTv2 LOSLAS GTX";
        if (CPLGetConfigOption("GDAL_SKIP", nullptr) == nullptr) CPLSetConfigOption("GDAL_SKIP", skip);
        CPLSetConfigOption("GDAL_VRT_ENABLE_PYTHON", "NO");
        // 5 % of the memory, GDAL's default, would be taken by every rank of a node.
        if (std::getenv("GDAL_CACHEMAX") == nullptr) GDALSetCacheMax64(GIntBig{128} << 20);
        GDALAllRegister();
    });
}

std::string gdal_message() {
    const char* message = CPLGetLastErrorMsg();
    return message != nullptr && message[0] != '\0' ? message : "GDAL gives no reason";
}

namespace {

constexpr const char* local_pixels =
    R"(LOCAL_CS["pixels of a picture without a place",UNIT["pixel",1],AXIS["column",EAST],AXIS["row",NORTH]])";

}  // namespace

ReferenceHandle make_reference(const std::string& crs, const std::string& where) {
    initialise_gdal();
    ReferenceHandle reference(OSRNewSpatialReference(nullptr));
    TERRANE_ASSERT(reference != nullptr, "OSRNewSpatialReference failed");
    CPLErrorReset();
    // Text only: a CRS from a file or an address is not what a configuration should be able to ask for.
    OptionList options;
    options.set("ALLOW_NETWORK_ACCESS", "NO");
    options.set("ALLOW_FILE_ACCESS", "NO");
    const char* text = crs == pixel_coordinates ? local_pixels : crs.c_str();
    if (OGRSpatialReference::FromHandle(reference.get())->SetFromUserInput(text, options.get()) !=
        OGRERR_NONE) {
        throw Error(ExitCode::data_invalid, 203,
                    fmt::format("{}: '{}' is no coordinate reference system: {}.", where, crs.substr(0, 120),
                                gdal_message()),
                    "Give an authority code like \"EPSG:25832\" or WKT.");
    }
    OSRSetAxisMappingStrategy(reference.get(), OAMS_TRADITIONAL_GIS_ORDER);
    return reference;
}

TransformationHandle make_transformation(const std::string& from, const std::string& to, const Bounds* area) {
    const ReferenceHandle source = make_reference(from, "source CRS");
    const ReferenceHandle target = make_reference(to, "target CRS");
    struct DestroyOptions {
        void operator()(OGRCoordinateTransformationOptionsH options) const {
            OCTDestroyCoordinateTransformationOptions(options);
        }
    };
    std::unique_ptr<std::remove_pointer_t<OGRCoordinateTransformationOptionsH>, DestroyOptions> options(
        OCTNewCoordinateTransformationOptions());
    if (area != nullptr) {
        const ReferenceHandle geographic = make_reference("OGC:CRS84", "area of interest");
        const TransformationHandle to_degrees(OCTNewCoordinateTransformation(source.get(), geographic.get()));
        double west = 0, south = 0, east = 0, north = 0;
        CPLErrorReset();
        if (to_degrees != nullptr && OCTTransformBounds(to_degrees.get(), area->west, area->south, area->east,
                                                        area->north, &west, &south, &east, &north, 21) != 0) {
            OCTCoordinateTransformationOptionsSetAreaOfInterest(options.get(), west, south, east, north);
        }
    }
    CPLErrorReset();
    TransformationHandle transformation(
        OCTNewCoordinateTransformationEx(source.get(), target.get(), options.get()));
    if (transformation == nullptr) {
        throw Error(ExitCode::data_invalid, 203,
                    fmt::format("no transformation from {} to {} is known: {}.", crs_name(from), crs_name(to),
                                gdal_message()),
                    "Check the CRS of the rasters, or override it with crs=.");
    }
    return transformation;
}

GDALDataType gdal_type(DType dtype) {
    switch (dtype) {
        case DType::u8:
            return GDT_Byte;
        case DType::u16:
            return GDT_UInt16;
        case DType::i16:
            return GDT_Int16;
        case DType::u32:
            return GDT_UInt32;
        case DType::i32:
            return GDT_Int32;
        case DType::f32:
            return GDT_Float32;
        case DType::f64:
            return GDT_Float64;
        case DType::i8:
        case DType::i64:
        case DType::f16:
        case DType::bf16:
            break;
    }
    throw InternalError(fmt::format("GDAL rasters have no element type {}", name_of(dtype)));
}

}  // namespace terrane::raster
