#include "agent/engines.h"

#include <fmt/core.h>
#include <gnu/libc-version.h>

#include <algorithm>

#include "agent/config/render.h"
#include "base/text.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

constexpr std::string_view kEngineRoot = "/usr/lib/postgresql";
constexpr std::string_view kShareRoot = "/usr/share/postgresql";
constexpr int kOldestMajor = 13;
constexpr std::size_t kProgramBytesMax = 256 << 20;

constexpr std::string_view kSelectParameters =
    "SELECT name, vartype, coalesce(unit, ''), coalesce(min_val, ''), coalesce(max_val, ''), "
    "coalesce(array_to_string(enumvals, E'\\n'), ''), CASE context WHEN 'internal' THEN setting "
    "ELSE coalesce(boot_val, '') END, context, category, "
    "short_desc FROM pg_catalog.pg_settings ORDER BY name";
constexpr std::string_view kSelectExtensions =
    "SELECT name FROM pg_catalog.pg_available_extensions ORDER BY name";

std::string survey_path(const Layout& layout, const std::string& version) {
    return layout.engines() + "/" + version + ".json";
}

model::ParameterInfo parameter_from(const pg::Row& row) {
    const auto text = [&](std::size_t column) { return row[column].value_or(""); };
    model::ParameterInfo info{.name = text(0),
                              .type = text(1),
                              .unit = text(2),
                              .minimum = text(3),
                              .maximum = text(4),
                              .boot_value = text(6),
                              .context = text(7),
                              .category = text(8),
                              .description = text(9)};
    if (!text(5).empty()) info.allowed = split(text(5), '\n');
    return info;
}

std::vector<std::string> modules_in(const std::string& folder) {
    std::vector<std::string> modules;
    const auto names = os::list_folder(folder);
    if (!names.ok()) return modules;
    for (const std::string& name : *names) {
        if (name.size() > 3 && name.ends_with(".so"))
            modules.push_back(name.substr(0, name.size() - 3));
    }
    return modules;
}

/// Names of the extensions that have a control file; "vector--0.8.control" is no name.
std::vector<std::string> extensions_in(const std::string& folder) {
    constexpr std::string_view kEnd = ".control";
    std::vector<std::string> names;
    const auto files = os::list_folder(folder);
    if (!files.ok()) return names;
    for (const std::string& file : *files) {
        if (file.ends_with(kEnd) && file.find("--") == std::string::npos)
            names.push_back(file.substr(0, file.size() - kEnd.size()));
    }
    return names;
}

}  // namespace

std::vector<InstalledEngine> find_engines() {
    std::vector<InstalledEngine> engines;
    const auto majors = os::list_folder(std::string(kEngineRoot));
    if (!majors.ok()) return engines;
    for (const std::string& major : *majors) {
        if (!parse_integer(major, kOldestMajor, 99).ok()) continue;
        const std::string root = std::string(kEngineRoot) + "/" + major;
        if (!os::exists(root + "/bin/initdb")) continue;
        const auto asked = os::run({.arguments = {root + "/bin/postgres", "--version"}});
        if (!asked.ok() || !asked->succeeded()) continue;
        // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
        const auto words = split(std::string(trim(asked->output)), ' ');
        if (words.size() < 3) continue;
        engines.push_back({major, words[2], root + "/bin", modules_in(root + "/lib")});
    }
    std::sort(engines.begin(), engines.end(),
              [](const InstalledEngine& a, const InstalledEngine& b) {
                  return a.major.size() != b.major.size() ? a.major.size() < b.major.size()
                                                          : a.major < b.major;
              });
    return engines;
}

std::string collation_version(const std::string& postgres) {
    // The name of the library that the program asks for has its version; ICU changes how it sorts
    // with that alone.
    constexpr std::string_view kIcu = "libicui18n.so.";
    std::string version = fmt::format("glibc {}", gnu_get_libc_version());
    const auto program = os::read_file(postgres, kProgramBytesMax);
    const std::size_t at = program.ok() ? program->find(kIcu) : std::string::npos;
    if (at == std::string::npos) return version;
    const std::size_t begin = at + kIcu.size();
    const std::size_t end = program->find_first_not_of("0123456789", begin);
    return version + ", ICU " + program->substr(begin, end - begin);
}

std::vector<std::string> find_collations() {
    const auto asked = os::run({.arguments = {"/usr/bin/locale", "-a"}});
    std::vector<std::string> names;
    if (!asked.ok() || !asked->succeeded()) return {"C", "POSIX"};
    for (const std::string& line : split(asked->output, '\n')) {
        if (!trim(line).empty()) names.emplace_back(trim(line));
    }
    return names;
}

Result<model::Engine> survey_engine(const InstalledEngine& engine, const std::string& socket_folder,
                                    int port) {
    HD_TRY(auto session,
           pg::Connection::open(
               {.host = socket_folder, .port = port, .user = std::string(kSuperuser)}));
    HD_TRY(const pg::Rows parameters, session.query(kSelectParameters));
    HD_TRY(const pg::Rows extensions, session.query(kSelectExtensions));
    model::Engine survey{.major = engine.major, .version = engine.version};
    for (const pg::Row& row : parameters.rows) survey.parameters.push_back(parameter_from(row));
    for (const pg::Row& row : extensions.rows) survey.extensions.push_back(row[0].value_or(""));
    return survey;
}

Result<model::Engine> load_survey(const Layout& layout, const InstalledEngine& engine) {
    HD_TRY(const std::string text, os::read_file(survey_path(layout, engine.version), 8 << 20));
    HD_TRY(model::Engine survey, model::from_json<model::Engine>(text));
    // What else is installed may have changed since.
    survey.collations = find_collations();
    survey.collation_version = collation_version(engine.programs + "/postgres");
    if (auto names = extensions_in(fmt::format("{}/{}/extension", kShareRoot, engine.major));
        !names.empty()) {
        survey.extensions = std::move(names);
    }
    return survey;
}

Status save_survey(const Layout& layout, const model::Engine& engine) {
    HD_CHECK(os::make_folders(layout.engines(), 0700));
    return os::write_file_atomic(survey_path(layout, engine.version), model::to_json(engine), 0600);
}

}  // namespace howdah::agent
