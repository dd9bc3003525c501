#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>
#include <string_view>

namespace matriarch {

std::string Random::hex(int bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (int i = 0; i < bytes; ++i) {
        const auto byte = below(256);
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

std::string Random::password(int length) {
    static constexpr std::string_view kLetters =
        "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    std::string out;
    for (int i = 0; i < length; ++i) out += kLetters[below(kLetters.size())];
    return out;
}

std::uint64_t SystemRandom::next() {
    std::uint64_t out = 0;
    // A kernel that can't give 8 random bytes leaves nothing safe to do.
    if (getrandom(&out, sizeof out, 0) != sizeof out) std::abort();
    return out;
}

}  // namespace matriarch
