#include "net/file_sink.h"

#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace matriarch::net {

namespace {

// Two downloads of the same file must not write into one.
std::string part_name(const std::string& path) {
    static std::atomic<unsigned> counter{0};
    return path + ".part" + std::to_string(getpid()) + '.' + std::to_string(++counter);
}

Error file_error(const std::string& doing, const std::string& path) {
    return make_error(errno == ENOENT ? ErrorKind::NotFound : ErrorKind::Unavailable,
                      doing + ' ' + path, strerror(errno));
}

Status sync_directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "."
                                  : slash == 0               ? "/"
                                                             : path.substr(0, slash);
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return file_error("opening", directory);
    Status out;
    if (fsync(fd) != 0) out = file_error("syncing", directory);
    close(fd);
    return out;
}

}  // namespace

FileSink::FileSink(std::string path) : path_(std::move(path)), part_(part_name(path_)) {}

FileSink::~FileSink() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(part_.c_str());
}

Status FileSink::open() {
    fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd_ < 0 ? file_error("creating", part_) : Status();
}

Status FileSink::write(std::string_view data) {
    if (fd_ < 0)
        if (auto opened = open(); !opened) return opened;
    while (!data.empty()) {
        const ssize_t put = ::write(fd_, data.data(), data.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return file_error("writing", part_);
        data.remove_prefix(static_cast<std::size_t>(put));
        bytes_ += static_cast<std::uint64_t>(put);
    }
    return {};
}

Status FileSink::finish() {
    if (fd_ < 0)
        if (auto opened = open(); !opened) return opened;
    if (fsync(fd_) != 0) return file_error("syncing", part_);
    if (rename(part_.c_str(), path_.c_str()) != 0) return file_error("renaming to", path_);
    close(fd_);
    fd_ = -1;
    return sync_directory_of(path_);
}

}  // namespace matriarch::net
