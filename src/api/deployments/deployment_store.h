#pragma once

#include <optional>
#include <string>

#include "api/call.h"
#include "api/templates/templates.h"
#include "model/records.h"
#include "store/secret_box.h"
#include "store/store.h"

/// Deployments as the store has them.
namespace howdah::api::deployments {

/// As Azure has it, for one scope; the oldest that have ended give way.
inline constexpr std::size_t kDeploymentsMax = 800;
/// Not ended at one time, everywhere: a new one is refused beyond; a nested one beyond the second.
inline constexpr std::size_t kRunningMax = 64;
inline constexpr std::size_t kRunningNestedMax = 512;
inline constexpr std::int64_t kDepthMax = 5;
inline constexpr std::size_t kNameBytesMax = 64;
/// Of a record as it begins, and of the outputs that it gets: together less than a value of the
/// store may have.
inline constexpr std::size_t kRecordBytesMax = 1 << 20;
inline constexpr std::size_t kOutputBytesMax = 256 << 10;

/// What a deployment is called.
struct Where {
    std::string subscription;
    std::string resource_group;  ///< empty: to the subscription
    std::string name;

    std::string scope() const;  ///< "/subscriptions/S/resourceGroups/RG"
    std::string id() const;
    std::string key() const;  ///< in the store
};

Where where_of(const Call& call);
Where where_of(const model::Deployment& deployment);

struct StoredDeployment {
    model::Deployment record;
    store::Revision modified = 0;
};

/// None if there is no such deployment.
Result<std::optional<StoredDeployment>> find_deployment(store::Store& store, const Where& where);
/// ErrorCode::deployment_not_found in Azure's words.
Result<StoredDeployment> load_deployment(const Call& call);

bool has_ended(const model::Deployment& deployment);

/// What the template is evaluated from, again and again with the same outcome.
struct Material {
    Json source;
    Json parameters;
    templates::Scope scope;
};

/// Sealed for one run: an earlier one's cannot take its place. ErrorCode::too_large beyond
/// kMaterialBytesMax.
inline constexpr std::size_t kMaterialBytesMax = 1 << 20;
Result<std::string> seal_material(const store::SecretBox& secrets,
                                  const model::Deployment& deployment, const Material& material);
Result<Material> unseal_material(const store::SecretBox& secrets,
                                 const model::Deployment& deployment, std::string_view sealed);

/// A template with its resources.
struct Prepared {
    templates::Template parsed;
    templates::Plan plan;
};
Result<Prepared> prepare(const Material& material);

}  // namespace howdah::api::deployments
