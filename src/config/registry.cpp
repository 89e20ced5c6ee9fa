#include "config/registry.hpp"

#include "config/tables.hpp"

namespace terrane::config {

namespace {

Table root() {
    using builder::TableOf;
    TableOf<Config> table("", "");
    table.option("format", &Config::format, "version of this file format").at_least(1).at_most(1);
    table.table(&Config::grid, tables::grid());
    table.list(&Config::modalities, tables::modality(), TableOf<Config>::Entries::by_name);
    table.table(&Config::label, tables::label());
    table.table(&Config::scribble,
                tables::weak_label("scribble", "Scribbles: classes known on a few strokes."));
    table.table(&Config::pseudo, tables::weak_label("pseudo", "Pseudo-labels: classes guessed everywhere."));
    table.list(&Config::classes, tables::label_class(), TableOf<Config>::Entries::by_name);
    table.table(&Config::split, tables::split());
    table.table(&Config::sampler, tables::sampler());
    table.table(&Config::augment, tables::augment());
    table.table(&Config::model, tables::model());
    table.table(&Config::loss, tables::loss());
    table.table(&Config::optim, tables::optim());
    table.table(&Config::train, tables::train());
    table.table(&Config::eval, tables::eval());
    table.table(&Config::import_rules, tables::import_rules());
    table.table(&Config::checkpoint, tables::checkpoint());
    table.table(&Config::report, tables::report());
    table.table(&Config::predict, tables::predict());
    table.table(&Config::data, tables::data());
    table.table(&Config::runtime, tables::runtime());
    return std::move(table).take();
}

void collect_keys(const Table& table, const std::string& prefix, std::vector<std::string>& keys) {
    for (const Option& option : table.options) keys.push_back(prefix + option.key);
    for (const Table& child : table.tables) collect_keys(child, prefix + child.key + ".", keys);
}

}  // namespace

const Table& registry() {
    static const Table instance = root();
    return instance;
}

const Option* find_option(const std::string& key) {
    const Table* table = &registry();
    std::size_t start = 0;
    for (;;) {
        const std::size_t dot = key.find('.', start);
        const std::string part = key.substr(start, dot == std::string::npos ? dot : dot - start);
        if (dot == std::string::npos) {
            for (const Option& option : table->options) {
                if (option.key == part) return &option;
            }
            return nullptr;
        }
        const Table* next = nullptr;
        for (const Table& child : table->tables) {
            if (child.key == part) next = &child;
        }
        if (next == nullptr) return nullptr;
        table = next;
        start = dot + 1;
    }
}

std::vector<std::string> all_keys() {
    std::vector<std::string> keys;
    collect_keys(registry(), "", keys);
    return keys;
}

}  // namespace terrane::config
