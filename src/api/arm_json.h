#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

/// Request bodies: parsed within bounds and read strictly, with the path of every field.
namespace howdah::api {

/// Keeps the order of fields, so that answers read as Azure's do.
using Json = nlohmann::ordered_json;

inline constexpr std::size_t kBodyBytesMax = 256 << 10;
inline constexpr int kBodyDepthMax = 32;
inline constexpr std::size_t kBodyFieldsMax = 4096;      ///< of all objects and arrays together
inline constexpr std::size_t kObjectFieldsMax = 512;     ///< of one object
inline constexpr std::size_t kFieldTextBytesMax = 4096;  ///< of one string

/// Parses a body. ErrorCode::invalid_request for text that is not JSON, is nested deeper or is
/// larger than the bounds above (too_large), or names a field twice. An empty body is null.
Result<Json> parse_body(std::string_view text);

/// The JSON text of an answer. Bytes that are not UTF-8 are replaced, so this cannot fail.
std::string to_text(const Json& json);

/// Reads the fields of one JSON object. The first problem is kept and every later call is
/// harmless, so that a caller reads everything and then asks once. null and "" mean absent, as
/// Azure's clients use them. A field that was never asked for is refused by finish().
///
/// Borrows the JSON and the problem; both must outlive it. Not thread-safe.
class Reader {
  public:
    using Problem = std::optional<Error>;

    /// `path` is that of the object itself; empty for the body.
    Reader(const Json& object, std::string path, Problem& problem);

    std::optional<std::string> text(std::string_view name);
    /// As text, but "" is a value too.
    std::optional<std::string> text_or_empty(std::string_view name);
    /// As text; wiped after use.
    std::optional<Secret> secret(std::string_view name);
    std::optional<bool> boolean(std::string_view name);
    std::optional<std::int64_t> integer(std::string_view name, std::int64_t lowest,
                                        std::int64_t highest);
    /// One of the words, in any letter case; the result is spelled as in `words`.
    std::optional<std::string> one_of(std::string_view name,
                                      std::span<const std::string_view> words);
    std::optional<Reader> object(std::string_view name);
    std::optional<std::map<std::string, std::string>> texts(std::string_view name);
    /// The elements of an array, at most `most`; none if it is absent. Each is to be finished.
    std::vector<Reader> objects(std::string_view name, std::size_t most);
    std::optional<std::vector<std::string>> text_list(std::string_view name, std::size_t most);

    /// Accepts a field that only the service sets, as clients send back what they have read.
    void read_only(std::string_view name);
    /// Refuses a field unless it is absent: the feature behind it is not there. `what` is a noun
    /// phrase ("customer-managed keys").
    void not_supported(std::string_view name, std::string_view what);

    /// Reports the first field that no call has asked for.
    void finish();

    void fail(Error error);
    std::string path_of(std::string_view name) const;

  private:
    /// The field's value; nullptr if it is absent or null.
    const Json* find(std::string_view name);
    /// The array's value; nullptr if it is absent, no array or too long.
    const Json* find_array(std::string_view name, std::size_t most);
    void wrong_type(std::string_view name, std::string_view wanted);

    const Json* object_;
    std::string path_;
    Problem* problem_;
    std::set<std::string, std::less<>> known_;
};

}  // namespace howdah::api
