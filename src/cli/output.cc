#include "cli/output.h"

#include <algorithm>

#include "model/resource_id.h"

namespace howdah::cli {
namespace {

std::vector<Json> rows_of(const Output& output) {
    if (output.value.is_null()) return {};
    if (output.rows != nullptr) return output.rows(output.value);
    if (output.value.is_array()) return {output.value.begin(), output.value.end()};
    return {output.value};
}

std::string cell(const Json& row, const Column& column) {
    if (column.path != kGroupOfId) return text_at(row, column.path);
    const auto id = model::ResourceId::parse(text_at(row, "id"));
    return id.ok() ? id->resource_group : std::string();
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// The number of columns a text takes: characters, not bytes.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        text += cells[i];
        if (i + 1 < cells.size()) text += std::string(widths[i] - width(cells[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
}

std::string table(const Output& output) {
    const std::vector<Json> rows = rows_of(output);
    if (rows.empty() || output.columns.empty()) return {};
    std::vector<std::vector<std::string>> lines(2);
    for (const Column& column : output.columns) lines[0].emplace_back(column.title);
    for (const Json& row : rows) {
        std::vector<std::string>& cells = lines.emplace_back();
        for (const Column& column : output.columns) {
            cells.push_back(cell(row, column));
            std::replace_if(cells.back().begin(), cells.back().end(), is_control, '?');
        }
    }
    std::vector<std::size_t> widths(output.columns.size(), 0);
    for (const auto& cells : lines) {
        for (std::size_t i = 0; i < cells.size(); ++i) {
            widths[i] = std::max(widths[i], width(cells[i]));
        }
    }
    for (const std::size_t each : widths) lines[1].emplace_back(each, '-');
    std::string text;
    for (const auto& cells : lines) text += line(cells, widths);
    return text;
}

/// One line for each row; a tab or line end inside of a value becomes a space.
std::string tsv(const Output& output) {
    std::string text;
    for (const Json& row : rows_of(output)) {
        for (std::size_t i = 0; i < output.columns.size(); ++i) {
            std::string value = cell(row, output.columns[i]);
            std::replace_if(value.begin(), value.end(), is_control, ' ');
            text += (i > 0 ? "\t" : "") + value;
        }
        text += '\n';
    }
    return text;
}

}  // namespace

std::string render(const Output& output, Format format) {
    switch (format) {
        case Format::none:
            return {};
        case Format::table:
            return table(output);
        case Format::tsv:
            return tsv(output);
        case Format::json:
            return output.value.is_null() ? std::string() : to_text(output.value, 2) + "\n";
    }
    return {};
}

}  // namespace howdah::cli
