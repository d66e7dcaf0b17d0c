#include "cli/children.h"

namespace howdah::cli {

std::string child_path(const Arm& arm, const ChildOptions& options, std::string_view type,
                       bool with_name) {
    std::string path = arm.server(options.group, options.server) + "/" + std::string(type);
    if (with_name) path += "/" + http::url_encode(options.name);
    return path;
}

Result<Output> show_child(Session& session, const ChildOptions& options, std::string_view type,
                          std::span<const Column> columns) {
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value, arm->get(child_path(*arm, options, type)));
    return Output{std::move(value), columns};
}

Result<Output> list_children(Session& session, const ChildOptions& options, std::string_view type,
                             std::span<const Column> columns) {
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json all, arm->list(child_path(*arm, options, type, false)));
    return Output{std::move(all), columns};
}

Result<Output> delete_child(Session& session, const ChildOptions& options, std::string_view type,
                            const std::string& question) {
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(session.confirm(question, options.yes));
    HD_CHECK(session.change("DELETE", child_path(*arm, options, type), Json(), options.no_wait));
    return Output{};
}

}  // namespace howdah::cli
