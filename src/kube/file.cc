#include "kube/file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace matriarch::kube {

Result<std::string> read_file(const std::string& path) {
    constexpr std::size_t kLimit = std::size_t{16} << 20;
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    // A directory opens, but does not read.
    if (!in || (in.peek() != std::ifstream::traits_type::eof() && !(text << in.rdbuf())) ||
        in.bad()) {
        return make_error(ErrorKind::Unavailable, "can't read " + path,
                          errno != 0 ? std::strerror(errno) : "");
    }
    std::string out = std::move(text).str();
    if (out.size() > kLimit) return make_error(ErrorKind::Invalid, path + " is too large");
    return out;
}

std::string trim(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

}  // namespace matriarch::kube
