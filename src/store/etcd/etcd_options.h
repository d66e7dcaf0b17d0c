#pragma once

#include <string>
#include <vector>

namespace howdah::store {

/// Where an etcd is and how to be let in. The members named here must be of one cluster.
struct EtcdOptions {
    static constexpr std::size_t kEndpointsMax = 9;

    /// "https://host:port" of client URLs; http:// only on loopback. The first that answers is
    /// used until it does not.
    std::vector<std::string> endpoints;
    /// What all our keys begin with. Nobody else may write below it.
    std::string prefix = "/howdah/";
    // Paths of PEM files; they are read when it is opened.
    std::string ca_file = {};           ///< empty: the system's authorities
    std::string certificate_file = {};  ///< to show to etcd; empty: none
    std::string key_file = {};
};

}  // namespace howdah::store
