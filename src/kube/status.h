// From HTTP answers to Error.
//
// The API server explains failures in a `Status` object; its reason tells apart what the code alone
// does not (409 is Conflict or AlreadyExists, 504 may be a too new resourceVersion). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/error.h"
#include "kube/transport.h"

namespace matriarch::kube {

// `doing` starts the sentence: "update leases db/orders".
Error error_from_response(std::string_view doing, const Response& response);

// A Status object, as a watch's ERROR event carries it.
Error error_from_status(std::string_view doing, const nlohmann::json& status);

// A transport failure seen by a caller that did (`write`) or did not want to change something:
// whatever may have been executed is OutcomeUnknown for a write, and merely absent for a read.
Error error_from_transport(std::string_view doing, bool write, Error error);

}  // namespace matriarch::kube
