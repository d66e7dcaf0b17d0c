#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "store/etcd/etcd_options.h"

namespace howdah {

/// The options that programs of several machines have in common; `to` must outlive the parsing.
inline void add_etcd_options(CLI::App& app, store::EtcdOptions& to) {
    app.add_option("--etcd", to.endpoints,
                   "client URLs of an etcd that all machines share (https://HOST:PORT,...)")
        ->delimiter(',')
        ->expected(1, static_cast<int>(store::EtcdOptions::kEndpointsMax));
    app.add_option("--etcd-ca", to.ca_file, "file of the authority of its certificates");
    app.add_option("--etcd-certificate", to.certificate_file, "file of a certificate to show it");
    app.add_option("--etcd-key", to.key_file, "file of that certificate's key");
}

/// The same as arguments for another program.
inline void append_etcd_options(std::vector<std::string>& arguments,
                                const store::EtcdOptions& from) {
    if (from.endpoints.empty()) return;
    arguments.insert(arguments.end(), {"--etcd", join(from.endpoints, ",")});
    const std::pair<const char*, const std::string*> files[] = {
        {"--etcd-ca", &from.ca_file},
        {"--etcd-certificate", &from.certificate_file},
        {"--etcd-key", &from.key_file}};
    for (const auto& [name, path] : files) {
        if (!path->empty()) arguments.insert(arguments.end(), {name, *path});
    }
}

}  // namespace howdah
