// Base64 as Secrets and kubeconfigs use it (RFC 4648, padded). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace matriarch::kube {

std::string base64_encode(std::string_view bytes);
// White space is skipped. Nothing if it is not base64.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace matriarch::kube
