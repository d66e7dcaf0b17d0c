#pragma once

#include <functional>
#include <map>
#include <string>

#include "api/call.h"
#include "model/records.h"

/// The operations of Azure Resource Manager itself: subscriptions, providers, resource groups.
namespace howdah::api::resources {

// subscriptions.cc
Answer list_tenants(Call& call);
Answer list_subscriptions(Call& call);
Answer get_subscription(Call& call);
Answer list_locations(Call& call);

// providers.cc
Answer list_providers(Call& call);
Answer get_provider(Call& call);
Answer register_provider(Call& call);

// groups.cc
Answer list_groups(Call& call);
Answer put_group(Call& call);
Answer get_group(Call& call);
Answer head_group(Call& call);
Answer patch_group(Call& call);
Answer delete_group(Call& call);
Answer get_group_operation_result(Call& call);

using Tags = std::map<std::string, std::string>;
/// Applies a change to the newest tags of a group, again when somebody else was faster. Errors:
/// those of `apply`; resource_group_not_found, group_being_deleted.
Status change_group_tags(const Call& call, const model::ResourceId& id,
                         const std::function<Status(Tags&)>& apply);

// tags.cc
Answer get_tags(Call& call);
Answer put_tags(Call& call);
Answer patch_tags(Call& call);
Answer delete_tags(Call& call);
Answer list_tag_names(Call& call);
Answer list_deny_assignments(Call& call);

// resources.cc
Answer list_resources(Call& call);
Answer list_resources_in_group(Call& call);

}  // namespace howdah::api::resources
