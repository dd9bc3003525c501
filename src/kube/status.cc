#include "kube/status.h"

#include "kube/json_access.h"

namespace matriarch::kube {
namespace {

// Reasons of apimachinery metav1.StatusReason; the code decides when the reason says nothing.
ErrorKind kind_of(int code, std::string_view reason) {
    if (reason == "AlreadyExists") return ErrorKind::AlreadyExists;
    if (reason == "Expired" || reason == "Gone") return ErrorKind::Gone;
    switch (code) {
        case 401:
            return ErrorKind::Unauthorized;
        case 403:
            return ErrorKind::Forbidden;
        case 404:
            return ErrorKind::NotFound;
        case 409:
            return ErrorKind::Conflict;
        case 410:
            return ErrorKind::Gone;
        case 429:
            return ErrorKind::Throttled;
        // "The server could not finish in time": it may have acted, or may act still.
        case 504:
            return ErrorKind::Timeout;
        default:
            break;
    }
    if (code >= 500 || code == 0) return ErrorKind::Unavailable;
    return ErrorKind::Invalid;
}

Error from_status(std::string_view doing, int code, const Json& status) {
    const std::string reason = get_string(status, {"reason"});
    ErrorKind kind = kind_of(code, reason);
    for (const Json& cause : get_array(status, {"details", "causes"})) {
        // A version from the future (of another etcd, or a restored one): read anew, as with 410.
        if (get_string(cause, {"reason"}) == "ResourceVersionTooLarge") kind = ErrorKind::Gone;
    }
    std::string text = get_string(status, {"message"});
    if (text.empty()) text = reason;
    if (text.empty()) text = "HTTP " + std::to_string(code);
    Error error = make_error(kind, std::string(doing), std::move(text));
    if (const auto after = get_int(status, {"details", "retryAfterSeconds"}); after > 0) {
        error.retry_after = std::chrono::seconds(after);
    }
    return error;
}

}  // namespace

Error error_from_response(std::string_view doing, const Response& response) {
    const std::optional<Json> body = parse_json(response.body);
    Error error;
    if (body && get_string(*body, {"kind"}) == "Status") {
        error = from_status(doing, response.status, *body);
    } else {
        // A proxy in between, or an aggregated API, answers text.
        error = make_error(
            kind_of(response.status, ""), std::string(doing),
            "HTTP " + std::to_string(response.status) + " " + response.body.substr(0, 200));
    }
    if (response.retry_after) error.retry_after = response.retry_after;
    return error;
}

Error error_from_status(std::string_view doing, const Json& status) {
    return from_status(doing, static_cast<int>(get_int(status, {"code"})), status);
}

Error error_from_transport(std::string_view doing, bool write, Error error) {
    const bool may_have_acted =
        error.kind == ErrorKind::Timeout || error.kind == ErrorKind::OutcomeUnknown;
    if (may_have_acted && write) {
        error.kind = ErrorKind::OutcomeUnknown;
    } else if (error.kind == ErrorKind::OutcomeUnknown) {
        error.kind = ErrorKind::Unavailable;
    }
    error.cause = error.message();
    error.what = std::string(doing);
    return error;
}

}  // namespace matriarch::kube
