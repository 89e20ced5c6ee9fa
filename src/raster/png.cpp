#include <cpl_conv.h>
#include <unistd.h>

#include "base/file.hpp"
#include "raster/gdal_handles.hpp"
#include "raster/writer.hpp"

namespace terrane::raster {

void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::uint8_t> pixels) {
    TERRANE_ASSERT(channels == 1 || channels == 3 || channels == 4, "{} channels in a PNG", channels);
    TERRANE_ASSERT(
        width > 0 && height > 0 && static_cast<std::int64_t>(pixels.size()) == width * height * channels,
        "{} bytes for a PNG of {} x {} x {}", pixels.size(), width, height, channels);
    initialise_gdal();
    const DatasetHandle memory(GDALCreate(GDALGetDriverByName("MEM"), "", static_cast<int>(width),
                                          static_cast<int>(height), static_cast<int>(channels), GDT_Byte,
                                          nullptr));
    TERRANE_ASSERT(memory != nullptr, "no dataset in memory: {}", gdal_message());
    CPLErrorReset();
    if (GDALDatasetRasterIOEx(memory.get(), GF_Write, 0, 0, static_cast<int>(width), static_cast<int>(height),
                              const_cast<std::uint8_t*>(pixels.data()), static_cast<int>(width),
                              static_cast<int>(height), GDT_Byte, static_cast<int>(channels), nullptr,
                              channels, channels * width, 1, nullptr) != CE_None) {
        throw InternalError("writing to memory failed: " + gdal_message());
    }
    if (channels == 4) GDALSetRasterColorInterpretation(GDALGetRasterBand(memory.get(), 4), GCI_AlphaBand);
    std::filesystem::path temporary = path;
    temporary += fmt::format(".{}.tmp", ::getpid());
    CPLErrorReset();
    // Without PAM GDAL leaves no .aux.xml beside the picture.
    CPLSetThreadLocalConfigOption("GDAL_PAM_ENABLED", "NO");
    DatasetHandle png(GDALCreateCopy(GDALGetDriverByName("PNG"), temporary.c_str(), memory.get(), FALSE,
                                     nullptr, nullptr, nullptr));
    const bool failed = png == nullptr || CPLGetLastErrorType() >= CE_Failure;
    const bool created = png != nullptr;
    png.reset();
    CPLSetThreadLocalConfigOption("GDAL_PAM_ENABLED", nullptr);
    if (failed || CPLGetLastErrorType() >= CE_Failure) {
        const std::string reason = gdal_message();
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw Error(created ? ExitCode::io_error : ExitCode::cannot_create, 903,
                    fmt::format("{} can't be written: {}.", path.string(), reason),
                    "Check the free space and the permissions of the folder.");
    }
    sync_file(temporary);
    publish_by_rename(temporary, path);
}

}  // namespace terrane::raster
