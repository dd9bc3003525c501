#include "cli/book.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>

namespace matriarch::cli {
namespace {

Error file_error(const std::string& path, const char* what) {
    return make_error(ErrorKind::Unavailable, what + path, std::strerror(errno));
}

// Removes repetitions from a sorted list and says how many there were.
std::size_t make_unique(std::vector<RowId>& ids) {
    const auto end = std::unique(ids.begin(), ids.end());
    const auto repeated = static_cast<std::size_t>(ids.end() - end);
    ids.erase(end, ids.end());
    return repeated;
}

}  // namespace

Book::~Book() {
    if (fd_ >= 0) close(fd_);
}

Status Book::keep_in(const std::string& path) {
    if (access(path.c_str(), F_OK) == 0) {
        Result<std::vector<RowId>> known = read_book(path);
        if (!known) return known.error();
        ids_ = std::move(known).value();
    }
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd_ < 0) return file_error(path, "cannot write the book ");
    return {};
}

Status Book::acknowledge(RowId id) {
    ids_.push_back(id);
    if (fd_ < 0) return {};
    const std::string line = std::to_string(id) + "\n";
    const auto size = static_cast<ssize_t>(line.size());
    if (write(fd_, line.data(), line.size()) != size)
        return file_error(std::to_string(id), "cannot write to the book the id ");
    return {};
}

Result<std::vector<RowId>> read_book(const std::string& path) {
    std::ifstream file(path);
    if (!file) return file_error(path, "cannot read the book ");
    std::vector<RowId> ids;
    for (std::string line; std::getline(file, line);) {
        if (file.eof()) break;  // without its line end: the writer died in the middle of it
        RowId id = 0;
        const char* const end = line.data() + line.size();
        const auto [rest, problem] = std::from_chars(line.data(), end, id);
        if (problem != std::errc{} || rest != end)
            return make_error(ErrorKind::Invalid, "not an id in the book " + path, line);
        ids.push_back(id);
    }
    return ids;
}

Verdict compare(std::vector<RowId> acknowledged, std::vector<RowId> present) {
    std::sort(acknowledged.begin(), acknowledged.end());
    std::sort(present.begin(), present.end());
    make_unique(acknowledged);
    Verdict verdict;
    verdict.duplicates = make_unique(present);
    verdict.acknowledged = acknowledged.size();
    verdict.present = present.size();
    std::set_difference(acknowledged.begin(), acknowledged.end(), present.begin(), present.end(),
                        std::back_inserter(verdict.lost));
    verdict.unacknowledged = present.size() + verdict.lost.size() - acknowledged.size();
    return verdict;
}

}  // namespace matriarch::cli
