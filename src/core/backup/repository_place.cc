#include "core/backup/repository_place.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/text.h"

namespace howdah::core::backup {
namespace {

using Kind = RepositoryPlace::Kind;
using Values = std::map<std::string, std::string>;

constexpr std::size_t kValueBytesMax = 1024;
constexpr std::string_view kHint = "docs/guide/backups.md shows what such a file says";

Error refused(std::string why) {
    return {ErrorCode::invalid_argument, std::move(why), "", std::string(kHint)};
}

/// What would need an escape in TOML, or end a line of pgBackRest's configuration, is refused.
bool is_plain(std::string_view text) {
    return text.size() <= kValueBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
               return c > ' ' && c < 127 && c != '"' && c != '\\' && c != '#';
           });
}

Status add_line(std::string_view line, int number, Values& values) {
    const std::size_t equals = line.find('=');
    const std::string_view name = trim(line.substr(0, equals));
    std::string_view value =
        equals == std::string_view::npos ? std::string_view() : trim(line.substr(equals + 1));
    const bool is_quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    if (is_quoted) value = value.substr(1, value.size() - 2);
    // The value may be a secret: only its place is told.
    if (name.empty() || !is_quoted || !is_plain(value))
        return refused(fmt::format("line {} is not NAME = \"VALUE\" in plain letters", number));
    if (!values.emplace(name, value).second)
        return refused(fmt::format("line {} says '{}' again", number, name.substr(0, 64)));
    return ok_status();
}

Result<Values> parse_lines(std::string_view text) {
    Values values;
    int number = 0;
    for (const std::string& each : split(text, '\n')) {
        ++number;
        const std::string_view line = trim(each);
        if (line.empty() || line.front() == '#') continue;
        HD_CHECK(add_line(line, number, values));
    }
    return values;
}

/// Takes it out, so that what is left at the end is what nobody knows.
std::string take(Values& values, const std::string& name) {
    const auto node = values.extract(name);
    return node.empty() ? "" : node.mapped();
}

Result<std::string> take_needed(Values& values, const std::string& name) {
    std::string value = take(values, name);
    if (value.empty()) return refused(fmt::format("'{}' is missing", name));
    return value;
}

Status read_endpoint(const std::string& text, RepositoryPlace& place) {
    const std::size_t colon = text.rfind(':');
    place.endpoint = text.substr(0, colon);
    if (colon != std::string::npos) {
        const auto port = parse_integer(text.substr(colon + 1), 1, 65535);
        if (!port.ok()) return refused("'endpoint' is not HOST or HOST:PORT");
        place.port = static_cast<int>(*port);
    }
    // pgBackRest compares the host with the certificate's names, of which an address is none.
    const bool is_name =
        std::any_of(place.endpoint.begin(), place.endpoint.end(),
                    [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }) &&
        place.endpoint.find_first_of("/:@?") == std::string::npos;
    if (!is_name)
        return refused(
            "'endpoint' is not HOST or HOST:PORT with the name that its certificate has");
    return ok_status();
}

Status read_s3(Values& values, RepositoryPlace& place) {
    HD_TRY(place.bucket, take_needed(values, "bucket"));
    HD_TRY(const std::string endpoint, take_needed(values, "endpoint"));
    HD_CHECK(read_endpoint(endpoint, place));
    HD_TRY(place.region, take_needed(values, "region"));
    HD_TRY(place.account, take_needed(values, "access-key"));
    HD_TRY(std::string key, take_needed(values, "secret-key"));
    place.key = Secret(std::move(key));
    return ok_status();
}

Status read_azure(Values& values, RepositoryPlace& place) {
    HD_TRY(place.bucket, take_needed(values, "container"));
    const std::string endpoint = take(values, "endpoint");
    if (!endpoint.empty()) HD_CHECK(read_endpoint(endpoint, place));
    HD_TRY(place.account, take_needed(values, "account"));
    HD_TRY(std::string key, take_needed(values, "account-key"));
    place.key = Secret(std::move(key));
    return ok_status();
}

}  // namespace

RepositoryPlace folder_place(std::string folder) {
    return {.kind = folder.empty() ? Kind::none : Kind::folder, .path = std::move(folder)};
}

std::string place_name(const RepositoryPlace& place) {
    if (!place.is_remote()) return place.path;
    const std::string where =
        place.endpoint.empty() ? place.account : fmt::format("{}:{}", place.endpoint, place.port);
    return fmt::format("{}://{}/{}{}", place.kind == Kind::s3 ? "s3" : "azure", where, place.bucket,
                       place.path);
}

Result<RepositoryPlace> parse_repository_file(std::string_view text) {
    HD_TRY(Values values, parse_lines(text));
    RepositoryPlace place;
    HD_TRY(const std::string type, take_needed(values, "type"));
    if (type != "s3" && type != "azure") return refused("'type' is neither \"s3\" nor \"azure\"");
    place.kind = type == "s3" ? Kind::s3 : Kind::azure;
    HD_CHECK(place.kind == Kind::s3 ? read_s3(values, place) : read_azure(values, place));
    place.path = take(values, "path");
    if (place.path.empty()) place.path = "/howdah";
    place.ca_file = take(values, "ca-file");
    for (const auto& [name, path] : {std::pair("path", &place.path), {"ca-file", &place.ca_file}})
        if (!path->empty() && path->front() != '/')
            return refused(fmt::format("'{}' does not begin with /", name));
    const std::string style = take(values, "uri-style");
    if (!style.empty() && style != "host" && style != "path")
        return refused("'uri-style' is neither \"host\" nor \"path\"");
    place.has_path_style = style == "path";
    if (!values.empty())
        return refused(fmt::format("'{}' is not known", values.begin()->first.substr(0, 64)));
    return place;
}

}  // namespace howdah::core::backup
