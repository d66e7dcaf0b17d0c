#include "api/postgres/log_links.h"

#include <fmt/core.h>

#include "base/text.h"
#include "http/client.h"

namespace howdah::api::postgres {
namespace {

constexpr std::size_t kSignatureBytesMax = 2048;

std::string purpose(std::string_view incarnation, std::string_view name, std::string_view expiry) {
    return fmt::format("serverlogs:{}/{}?se={}&sp=r", incarnation, name, expiry);
}

Error refused(std::string_view why) { return {ErrorCode::permission_denied, std::string(why)}; }

/// The server's id that a signature holds. Only the one spelling that we write is taken.
Result<std::string> open_signature(const store::SecretBox& secrets, std::string_view name,
                                   std::string_view signature) {
    const Error bad = refused("the signature is not valid");
    if (signature.empty() || signature.size() > kSignatureBytesMax) return bad;
    const auto sealed = base64url_decode(signature);
    if (!sealed.ok() || base64url_encode(*sealed) != signature) return bad;
    const auto server_key = secrets.unseal(name, *sealed);
    if (!server_key.ok()) return bad;
    return server_key->reveal();
}

}  // namespace

std::string log_link(const store::SecretBox& secrets, std::string_view base_url,
                     const LogLink& link, Timestamp now) {
    const std::string expiry =
        format_iso8601(now + std::chrono::duration_cast<Timestamp::duration>(kLogLinkLife));
    const std::string sealed =
        secrets.seal(purpose(link.incarnation, link.name, expiry), Secret(link.server_key));
    return fmt::format("{}{}{}/{}?se={}&sp=r&sig={}", base_url, kLogLinkPath, link.incarnation,
                       http::url_encode(link.name), http::url_encode(expiry),
                       base64url_encode(sealed));
}

Result<LogLink> check_log_link(const store::SecretBox& secrets, const http::Request& request,
                               Timestamp now) {
    if (!request.path.starts_with(kLogLinkPath)) return refused("the path is not a link's");
    const auto parts = split(request.path.substr(kLogLinkPath.size()), '/');
    if (parts.size() != 2) return refused("the path is not a link's");
    const auto value = [&](std::string_view name) {
        return request.query_value(name).value_or("");
    };
    if (value("sp") != "r") return refused("the link is not for reading");
    const std::string expiry = value("se");
    LogLink link{.incarnation = parts[0], .name = parts[1]};
    HD_TRY(link.server_key,
           open_signature(secrets, purpose(link.incarnation, link.name, expiry), value("sig")));
    const auto expires = parse_iso8601(expiry);
    if (!expires.ok() || now >= *expires) return refused("the link has expired");
    return link;
}

std::optional<ByteRange> byte_range_of(std::string_view header) {
    constexpr std::string_view kUnit = "bytes=";
    if (!header.starts_with(kUnit)) return std::nullopt;
    const auto ends = split(header.substr(kUnit.size()), '-');
    if (ends.size() != 2) return std::nullopt;
    const auto first = parse_integer(ends[0], 0, INT64_MAX - 1);
    if (!first.ok()) return std::nullopt;
    if (ends[1].empty()) return ByteRange{*first, std::nullopt};
    const auto last = parse_integer(ends[1], *first, INT64_MAX - 1);
    if (!last.ok()) return std::nullopt;
    return ByteRange{*first, *last};
}

}  // namespace howdah::api::postgres
