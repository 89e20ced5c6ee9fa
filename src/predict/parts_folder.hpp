#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace terrane::predict {

/// A folder for what the ranks write before it is put together, removed with everything in it at the end.
class PartsFolder {
  public:
    /// `owner` is the process_tag of the first rank. Creating the folder is every rank's right. Folders that
    /// killed processes of this host left for the same map are removed.
    PartsFolder(const std::filesystem::path& map, const std::string& owner);
    ~PartsFolder();
    PartsFolder(const PartsFolder&) = delete;
    PartsFolder& operator=(const PartsFolder&) = delete;

    /// The part of a product (Product::name) that block `index` makes.
    std::filesystem::path part(const std::string& product, std::size_t index) const;

    const std::filesystem::path& path() const { return path_; }
    /// Where a whole product is built before it gets its name.
    std::filesystem::path whole(const std::string& product) const;

  private:
    std::filesystem::path path_;
};

}  // namespace terrane::predict
