#include <cpl_conv.h>
#include <cpl_vsi.h>
#include <unistd.h>

#include "base/file.hpp"
#include "raster/gdal_handles.hpp"
#include "raster/writer.hpp"

namespace terrane::raster {

namespace {

/// The picture as a dataset in memory.
DatasetHandle dataset_of(std::int64_t width, std::int64_t height, std::int64_t channels,
                         std::span<const std::uint8_t> pixels) {
    TERRANE_ASSERT(channels == 1 || channels == 3 || channels == 4, "{} channels in a PNG", channels);
    TERRANE_ASSERT(
        width > 0 && height > 0 && static_cast<std::int64_t>(pixels.size()) == width * height * channels,
        "{} bytes for a PNG of {} x {} x {}", pixels.size(), width, height, channels);
    initialise_gdal();
    DatasetHandle memory(GDALCreate(GDALGetDriverByName("MEM"), "", static_cast<int>(width),
                                    static_cast<int>(height), static_cast<int>(channels), GDT_Byte, nullptr));
    if (memory == nullptr) {
        throw Error(ExitCode::cannot_create, 903, fmt::format("a picture can't be made: {}.", gdal_message()),
                    "Use a GDAL with the drivers MEM and PNG; terrane doctor names what is missing.");
    }
    CPLErrorReset();
    if (GDALDatasetRasterIOEx(memory.get(), GF_Write, 0, 0, static_cast<int>(width), static_cast<int>(height),
                              const_cast<std::uint8_t*>(pixels.data()), static_cast<int>(width),
                              static_cast<int>(height), GDT_Byte, static_cast<int>(channels), nullptr,
                              channels, channels * width, 1, nullptr) != CE_None) {
        throw InternalError("writing to memory failed: " + gdal_message());
    }
    if (channels == 4) GDALSetRasterColorInterpretation(GDALGetRasterBand(memory.get(), 4), GCI_AlphaBand);
    return memory;
}

enum class Copied { yes, created_only, no };

Copied copy_to_png(const DatasetHandle& picture, const std::string& path) {
    CPLErrorReset();
    // Without PAM GDAL leaves no .aux.xml beside the picture.
    CPLSetThreadLocalConfigOption("GDAL_PAM_ENABLED", "NO");
    DatasetHandle png(GDALCreateCopy(GDALGetDriverByName("PNG"), path.c_str(), picture.get(), FALSE, nullptr,
                                     nullptr, nullptr));
    const bool failed = png == nullptr || CPLGetLastErrorType() >= CE_Failure;
    const bool created = png != nullptr;
    png.reset();
    CPLSetThreadLocalConfigOption("GDAL_PAM_ENABLED", nullptr);
    if (!failed && CPLGetLastErrorType() < CE_Failure) return Copied::yes;
    return created ? Copied::created_only : Copied::no;
}

}  // namespace

void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::uint8_t> pixels) {
    const DatasetHandle picture = dataset_of(width, height, channels, pixels);
    std::filesystem::path temporary = path;
    temporary += fmt::format(".{}.tmp", ::getpid());
    const Copied copied = copy_to_png(picture, temporary.string());
    if (copied != Copied::yes) {
        const std::string reason = gdal_message();
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw Error(copied == Copied::created_only ? ExitCode::io_error : ExitCode::cannot_create, 903,
                    fmt::format("{} can't be written: {}.", path.string(), reason),
                    "Check the free space and the permissions of the folder.");
    }
    sync_file(temporary);
    publish_by_rename(temporary, path);
}

std::vector<std::byte> encode_png(std::int64_t width, std::int64_t height, std::int64_t channels,
                                  std::span<const std::uint8_t> pixels) {
    const DatasetHandle picture = dataset_of(width, height, channels, pixels);
    const std::string name =
        fmt::format("/vsimem/terrane_picture_{}.png", static_cast<const void*>(&picture));
    if (copy_to_png(picture, name) != Copied::yes) {
        throw InternalError("a PNG can't be written to memory: " + gdal_message());
    }
    vsi_l_offset bytes = 0;
    const GByte* content = VSIGetMemFileBuffer(name.c_str(), &bytes, FALSE);
    TERRANE_ASSERT(content != nullptr, "{} is not in memory", name);
    const auto* first = reinterpret_cast<const std::byte*>(content);
    std::vector<std::byte> png(first, first + bytes);
    VSIUnlink(name.c_str());
    return png;
}

}  // namespace terrane::raster
