#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "api/postgres/server_body.h"
#include "model/records.h"

/// What the data of a new server begin with: nothing, or those of another server as they were at a
/// time, be it there or deleted a few days ago.
namespace howdah::api::postgres {

/// Fills in what comes from the source; nothing for requests without one. `key`: the new server's.
Status apply_source(const Call& call, const std::string& key, ServerBody& body,
                    model::ServerSpec& spec);

/// The administrator's password as the source has it, sealed for the server of this key.
Status take_verifier(const Call& call, const model::ServerSpec& source, const std::string& key,
                     model::ServerSpec& spec);

/// ok: the server can be restored to this time, by what is known of it; else an error about the
/// field that names the nearest times. `time`: as format_iso8601 writes it.
Status check_restorable(const std::vector<model::RestorableSpan>& spans, const std::string& time,
                        std::string_view field);

/// Of a server that exists. The request that made it may come again; already_exists for another
/// one, which would be ignored.
Status check_same_source(const ServerBody& body, const model::ServerSpec& spec);

}  // namespace howdah::api::postgres
