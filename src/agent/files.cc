#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

namespace matriarch::agent {
namespace {

Error failure(const char* doing, const std::string& path) {
    const auto kind = errno == ENOENT ? ErrorKind::NotFound : ErrorKind::Unavailable;
    return make_error(kind, std::string(doing) + " " + path, strerror(errno));
}

std::string parent(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

int remove_entry(const char* path, const struct stat*, int, FTW*) {
    return remove(path);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failure("cannot open", path);
    std::string out;
    char buffer[16384];
    ssize_t got = 0;
    while (out.size() <= limit && (got = read(fd, buffer, sizeof buffer)) > 0)
        out.append(buffer, static_cast<std::size_t>(got));
    const int error = got < 0 ? errno : 0;
    close(fd);
    if (error != 0) {
        errno = error;
        return failure("cannot read", path);
    }
    if (out.size() > limit) return make_error(ErrorKind::Invalid, path + " is too large");
    return out;
}

Status write_file(const std::string& path, std::string_view content, Durable durable, mode_t mode) {
    const std::string temporary = path + ".new";
    const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return failure("cannot write", temporary);
    bool good = fchmod(fd, mode) == 0;
    while (good && !content.empty()) {
        const auto put = write(fd, content.data(), content.size());
        if (put < 0 && errno == EINTR) continue;
        good = put > 0;
        if (good) content.remove_prefix(static_cast<std::size_t>(put));
    }
    if (good && durable == Durable::Yes) good = fsync(fd) == 0;
    const int error = errno;
    good = close(fd) == 0 && good;
    if (!good) {
        errno = error;
        auto out = failure("cannot write", temporary);
        unlink(temporary.c_str());
        return out;
    }
    if (rename(temporary.c_str(), path.c_str()) != 0) return failure("cannot rename to", path);
    return durable == Durable::Yes ? sync_directory(parent(path)) : Status();
}

bool exists(const std::string& path) {
    struct stat st {};
    return lstat(path.c_str(), &st) == 0;
}

Status make_directory(const std::string& path, mode_t mode) {
    if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    if (errno != ENOENT) return failure("cannot make", path);
    if (auto above = make_directory(parent(path), mode); !above) return above;
    if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    return failure("cannot make", path);
}

Status sync_directory(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failure("cannot open", path);
    const bool good = fsync(fd) == 0;
    const int error = errno;
    close(fd);
    errno = error;
    return good ? Status() : Status(failure("cannot sync", path));
}

Status remove_tree(const std::string& path) {
    if (!exists(path)) return {};
    if (nftw(path.c_str(), remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return failure("cannot remove", path);
    return {};
}

Status move_path(const std::string& from, const std::string& to) {
    if (rename(from.c_str(), to.c_str()) != 0) return failure("cannot move to", to);
    if (auto synced = sync_directory(parent(to)); !synced) return synced;
    return parent(from) == parent(to) ? Status() : sync_directory(parent(from));
}

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> out;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error))
        out.push_back(at->path().filename().string());
    return out;
}

}  // namespace matriarch::agent
