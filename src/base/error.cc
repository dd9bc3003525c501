#include "base/error.h"

namespace matriarch {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::Conflict:
            return "Conflict";
        case ErrorKind::NotFound:
            return "NotFound";
        case ErrorKind::AlreadyExists:
            return "AlreadyExists";
        case ErrorKind::Gone:
            return "Gone";
        case ErrorKind::Unauthorized:
            return "Unauthorized";
        case ErrorKind::Forbidden:
            return "Forbidden";
        case ErrorKind::Invalid:
            return "Invalid";
        case ErrorKind::Throttled:
            return "Throttled";
        case ErrorKind::Unavailable:
            return "Unavailable";
        case ErrorKind::OutcomeUnknown:
            return "OutcomeUnknown";
        case ErrorKind::Timeout:
            return "Timeout";
        case ErrorKind::Cancelled:
            return "Cancelled";
        case ErrorKind::Bug:
            return "Bug";
    }
    return "Bug";
}

std::string Error::message() const {
    return cause.empty() ? what : what + ": " + cause;
}

Error make_error(ErrorKind kind, std::string what, std::string cause) {
    return Error{kind, std::move(what), std::move(cause), std::nullopt};
}

}  // namespace matriarch
