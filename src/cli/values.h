#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "cli/json.h"

/// Words of the command line turned into fields of the API. Mistakes are those of usage.
namespace howdah::cli {

/// {"a=b", "c"} -> {"a":"b","c":""}. One empty word means: no tags.
Result<Json> tags_of(const std::vector<std::string>& words);

/// What --public-access says.
struct PublicAccess {
    bool enabled = true;
    std::string start_ip;  ///< empty: no firewall rule
    std::string end_ip;
};
/// none | all | Enabled | Disabled | IP | IP-IP. "none": reachable once there are firewall rules.
Result<PublicAccess> public_access_of(const std::string& word);

/// "Mon:3:30", "2:0", "disabled" as properties.maintenanceWindow.
Result<Json> maintenance_window_of(const std::string& word);

/// The tier that a size belongs to, by Azure's naming: B burstable, D general purpose, E memory
/// optimized; "" if the name does not say.
std::string tier_of(const std::string& sku_name);

/// The largest number in a list of versions: {"14","15","9"} -> "15".
std::string newest_version(const std::vector<std::string>& versions);

/// 24 characters with small and capital letters and digits.
Secret generate_password(IdSource& ids);

/// A word of a connection string, quoted for libpq.
std::string conninfo_quote(const std::string& value);
/// A field of a PostgreSQL password file.
std::string passfile_quote(const std::string& value);

}  // namespace howdah::cli
