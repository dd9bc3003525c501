#include "net/body.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace matriarch::net {

namespace {

class FileRange final : public BodySource {
  public:
    FileRange(int fd, std::string path, std::uint64_t offset, std::uint64_t length)
        : fd_(fd), path_(std::move(path)), at_(offset), left_(length), length_(length) {}
    ~FileRange() override { close(fd_); }
    FileRange(const FileRange&) = delete;
    FileRange& operator=(const FileRange&) = delete;

    std::uint64_t length() const override { return length_; }

    Result<std::size_t> read(char* out, std::size_t size) override {
        if (left_ == 0) return std::size_t{0};
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
        for (;;) {
            const ssize_t got = pread(fd_, out, want, static_cast<off_t>(at_));
            if (got > 0) {
                at_ += static_cast<std::uint64_t>(got);
                left_ -= static_cast<std::uint64_t>(got);
                return static_cast<std::size_t>(got);
            }
            if (got < 0 && errno == EINTR) continue;
            return make_error(ErrorKind::Unavailable, "reading " + path_,
                              got == 0 ? "the file became shorter" : strerror(errno));
        }
    }

  private:
    const int fd_;
    const std::string path_;
    std::uint64_t at_;
    std::uint64_t left_;
    const std::uint64_t length_;
};

}  // namespace

Result<std::unique_ptr<BodySource>> open_file_range(const std::string& path, std::uint64_t offset,
                                                    std::uint64_t length) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return make_error(errno == ENOENT ? ErrorKind::NotFound : ErrorKind::Unavailable,
                          "opening " + path, strerror(errno));
    struct stat st {};
    const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    const auto size = static_cast<std::uint64_t>(std::max<off_t>(st.st_size, 0));
    if (!regular || offset > size || (length != kToEnd && length > size - offset)) {
        close(fd);
        return make_error(ErrorKind::Invalid, "no such range in " + path,
                          std::to_string(size) + " bytes");
    }
    return std::unique_ptr<BodySource>(
        std::make_unique<FileRange>(fd, path, offset, length == kToEnd ? size - offset : length));
}

}  // namespace matriarch::net
