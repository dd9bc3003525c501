#include "kube/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>

namespace matriarch::kube {

std::string base64_encode(std::string_view bytes) {
    std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP adds a NUL
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    std::string in;
    in.reserve(text.size());
    std::copy_if(text.begin(), text.end(), std::back_inserter(in),
                 [](unsigned char c) { return std::isspace(c) == 0; });
    if (in.empty()) return std::string();
    if (in.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && in[in.size() - 1 - padding] == '=') ++padding;
    std::string out(in.size() / 4 * 3, '\0');
    const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(in.data()),
                                     static_cast<int>(in.size()));
    if (size < 0) return std::nullopt;
    out.resize(static_cast<std::size_t>(size) - padding);  // EVP counts padding as zero bytes
    return out;
}

}  // namespace matriarch::kube
