#include "config/tables.hpp"

namespace terrane::config::tables {

namespace {

TableOf<SplitRegion> split_region() {
    TableOf<SplitRegion> table("region",
                               "For split.method = \"regions\": a rectangle and the split it belongs to.");
    table.option("split", &SplitRegion::split, "the split").one_of({"train", "val", "test"}).required();
    table.option("bounds", &SplitRegion::bounds, "[west, south, east, north]")
        .unit("CRS units")
        .length(4)
        .required();
    return table;
}

}  // namespace

TableOf<Grid> grid() {
    TableOf<Grid> table("grid", "The common grid that every modality of a scene is aligned to.");
    table.option("reference", &Grid::reference,
                 "modality (or \"label\") whose raster gives CRS, resolution and extent; empty: the first, "
                 "unless crs is given");
    table.option("crs", &Grid::crs,
                 "coordinate reference system, anything GDAL understands (\"EPSG:25832\")");
    table.option("resolution", &Grid::resolution, "ground sampling distance; 0: the reference's")
        .unit("CRS units")
        .at_least(0);
    table.option("extent", &Grid::extent, "[west, south, east, north]; empty: the reference's")
        .unit("CRS units");
    table.option("tile", &Grid::tile, "edge of a stored tile").unit("pixels").at_least(16).at_most(8192);
    table
        .option("stride", &Grid::stride,
                "distance of training tiles' origins; 0: the tile edge, so that tiles don't overlap")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table
        .option("scoring", &Grid::scoring,
                "once: tiles of val and test lie edge to edge, one flush with the end, and every pixel "
                "counts once; "
                "windows: they lie a stride apart, none is moved to the end, and a pixel counts in every "
                "tile that holds it "
                "(as some published protocols score; not comparable with once)")
        .one_of({"once", "windows"});
    table.option("min_valid", &Grid::min_valid, "tiles with a smaller labelled fraction are not stored")
        .at_least(0)
        .at_most(1);
    return table;
}

TableOf<Modality> modality() {
    TableOf<Modality> table("modality", "One sensor product: rasters that share bands and meaning.");
    table.option("name", &Modality::name, "short unique name").required();
    table.option("files", &Modality::files, "rasters; paths or globs, relative to the config file").path();
    table.option(
        "scene", &Modality::scene,
        "regular expression on the path whose groups, joined by _, are the scene id; empty: the file stem");
    table.option("bands", &Modality::bands, "bands to use, counted from 1; empty: all")
        .at_least(1)
        .at_most(65535);
    table.option("resampling", &Modality::resampling, "how it is brought onto the grid")
        .one_of({"nearest", "bilinear", "cubic", "average"});
    table
        .option("scale", &Modality::scale,
                "its pixel is this many grid pixels wide (kept at its own resolution)")
        .unit("grid pixels")
        .at_least(1)
        .at_most(64);
    table.option("nodata", &Modality::nodata, "overrides the raster's own nodata value");
    table.option("nodata_also", &Modality::nodata_also, "further values to be masked");
    table.option("crs", &Modality::crs,
                 "overrides a missing or wrong CRS; \"pixels\": pictures without a place on the ground");
    table.option("norm", &Modality::norm, "standard: mean and deviation of the training tiles; minmax; none")
        .one_of({"standard", "minmax", "none"});
    table.option("multiply", &Modality::multiply, "value * multiply + add, before normalisation");
    table.option("add", &Modality::add, "value * multiply + add, before normalisation");
    table.option("clip_low", &Modality::clip_low,
                 "smaller values are raised to this, after multiply and add");
    table.option("clip_high", &Modality::clip_high,
                 "larger values are lowered to this, after multiply and add");
    table.option("fill", &Modality::fill,
                 "value that the network sees where the modality is nodata, after multiply, add and relative "
                 "(no lidar return over water: intensity 0, height 0); not set: the training mean");
    table.option(
        "relative", &Modality::relative,
        "subtract each tile's 2nd percentile: heights above the local low instead of above sea level");
    return table;
}

TableOf<Label> label() {
    TableOf<Label> table("label", "Where the truth is and how it is coded.");
    table.option("files", &Label::files, "label rasters; paths or globs, relative to the config file").path();
    table.option(
        "scene", &Label::scene,
        "regular expression on the path whose groups, joined by _, are the scene id; empty: the file stem");
    table
        .option("encoding", &Label::encoding,
                "index: one band of class values; palette: RGB by [[class]].color")
        .one_of({"index", "palette"});
    table.option("ignore", &Label::ignore, "raster values that are neither learned nor scored");
    table.option("undefined", &Label::undefined, "what a value or colour of no class means")
        .one_of({"error", "ignore"});
    table.option("remap", &Label::remap, "raster value = class id, applied before anything else: {6 = 5}");
    table.option("crs", &Label::crs,
                 "overrides a missing or wrong CRS; \"pixels\": pictures without a place on the ground");
    return table;
}

TableOf<WeakLabel> weak_label(const std::string& key, const std::string& help) {
    TableOf<WeakLabel> table(key, help + " Coded as [label] says.");
    table
        .option("files", &WeakLabel::files,
                "rasters; paths or globs, relative to the config file; empty: none")
        .path();
    table.option(
        "scene", &WeakLabel::scene,
        "regular expression on the file name whose first group is the scene id; empty: the file stem");
    table
        .option("lambda", &WeakLabel::lambda,
                "of the distance map made from it: sqrt(lambda) * distance in pixels, cut at 255")
        .at_least(0.05)
        .at_most(65025);
    return table;
}

TableOf<Class> label_class() {
    TableOf<Class> table("class", "One class; its place in the list is its index in the network's output.");
    table.option("id", &Class::id, "value in label rasters and in predicted maps")
        .at_least(0)
        .at_most(254)
        .required();
    table.option("name", &Class::name, "unique name, used in tables and as GDAL category").required();
    table.option("color", &Class::color, "[red, green, blue]").at_least(0).at_most(255);
    table.option("weight", &Class::weight, "weight in the loss; 0: by loss.class_weights").at_least(0);
    table.option("background", &Class::background,
                 "weak supervision: pixels of this class are no object (at most one class)");
    return table;
}

TableOf<Split> split() {
    TableOf<Split> table("split",
                         "How tiles are divided into train, val and test. Splits never overlap in space.");
    table
        .option("method", &Split::method,
                "blocks of tiles, whole files, polygons of a vector file, or rectangles")
        .one_of({"blocks", "files", "polygons", "regions"});
    table.option("block", &Split::block, "blocks: edge of a block").unit("tiles").at_least(1).at_most(4096);
    table.option("buffer", &Split::buffer, "width kept free between splits").unit("CRS units").at_least(0);
    table.option("fractions", &Split::fractions, "blocks: shares of train, val and test")
        .at_least(0)
        .at_most(1);
    table.option("files", &Split::files, "files: regular expression on the scene id = split")
        .one_of({"train", "val", "test"});
    table.option("polygons", &Split::polygons, "polygons: vector file with a text field \"split\"").path();
    table.list(&Split::regions, split_region(), TableOf<Split>::Entries::by_index);
    return table;
}

}  // namespace terrane::config::tables
