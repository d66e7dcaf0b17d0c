#include <CLI/CLI.hpp>

#include "cli/session.h"
#include "os/file.h"

// howdah cloud: what Azure's own tools need to know to talk to this Howdah.

namespace howdah::cli {
namespace {

constexpr std::string_view kMetadataPath = "/metadata/endpoints";
constexpr std::string_view kMetadataVersion = "2022-09-01";

struct CloudOptions {
    std::string file = "howdah-cloud.json";
    std::string ca_file = "howdah-ca.pem";
};

/// What `az cloud register --cloud-config` reads. The authority has the form of AD FS: with any
/// other, clients ask the public cloud first whether it knows this one.
Json cloud_config(const Json& metadata, const std::string& authority) {
    const std::string base = text_at(metadata, "resourceManager");
    Json suffixes = metadata.value("suffixes", Json::object());
    const std::string domain = text_at(suffixes, "postgresqlServerEndpoint");
    // az refuses to start without them, although nothing here has such a thing.
    suffixes["keyvaultDns"] = ".vault" + domain;
    suffixes["storageEndpoint"] = "storage" + domain;
    return {{"endpoints",
             {{"resourceManager", base},
              {"management", base},
              {"gallery", base},
              {"activeDirectory", authority + "/adfs"},
              {"activeDirectoryResourceId", base + "/"},
              {"activeDirectoryGraphResourceId", base + "/"},
              {"microsoftGraphResourceId", base + "/"},
              {"ossrdbmsResourceId", text_at(metadata, "ossrdbmsResourceId")}}},
            {"suffixes", suffixes}};
}

Result<Output> export_cloud(Session& session, const CloudOptions& options) {
    session.doing("export", "exporting", "the cloud");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json metadata, arm->get(std::string(kMetadataPath), kMetadataVersion));
    const Json config = cloud_config(metadata, arm->profile().authority);
    constexpr mode_t kReadable = 0644;  // nothing in these files is a secret
    HD_CHECK(os::write_file_atomic(options.file, config.dump(2) + "\n", kReadable));
    Json value = {{"cloudFile", options.file}, {"caFile", nullptr}};
    if (!arm->profile().ca_pem.empty()) {
        HD_CHECK(os::write_file_atomic(options.ca_file, arm->profile().ca_pem, kReadable));
        value["caFile"] = options.ca_file;
        session.note("export REQUESTS_CA_BUNDLE=" + options.ca_file);
    }
    session.note("az cloud register -n Howdah --cloud-config @" + options.file);
    session.note("az cloud set -n Howdah");
    static constexpr Column kColumns[] = {{"CloudFile", "cloudFile"}, {"CaFile", "caFile"}};
    return Output{std::move(value), kColumns};
}

}  // namespace

void add_cloud(Commands& commands) {
    CLI::App& noun = commands.noun("cloud", "This Howdah as a cloud of Azure's tools");
    auto options = std::make_shared<CloudOptions>();
    CLI::App& app = commands.verb(
        noun, "export", "Write the file for 'az cloud register', and the certificate authority",
        [options](Session& session) { return export_cloud(session, *options); });
    app.add_option("--file", options->file, "Where the description of the cloud goes")
        ->capture_default_str();
    app.add_option("--ca-file", options->ca_file, "Where the certificate authority goes")
        ->capture_default_str();
}

}  // namespace howdah::cli
