#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/json.h"

namespace howdah::cli {

/// One column of a table: its title, and where its value is in a row.
struct Column {
    std::string_view title;
    std::string_view path;  ///< "properties/state"; see also kGroupOfId
};

/// A path that stands for the resource group in the row's "id".
inline constexpr std::string_view kGroupOfId = "(group)";

/// What a command found: one JSON value, from which every form of output is made.
struct Output {
    Json value;                         ///< null: nothing to show
    std::span<const Column> columns{};  ///< of the table
    /// Turns the value into the table's rows where these are not the value or its elements.
    std::vector<Json> (*rows)(const Json& value) = nullptr;
};

enum class Format { table, json, tsv, none };

/// The text to print, with a line end unless it is empty. Control characters in tables are shown
/// as '?', so that a value cannot give orders to a terminal.
std::string render(const Output& output, Format format);

}  // namespace howdah::cli
