#include "postgres/control_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

namespace matriarch::postgres {
namespace {

// Offsets in ControlFileData (catalog/pg_control.h) on 64-bit machines.
constexpr std::size_t kIdentifier = 0, kVersion = 8, kState = 16, kCheckpoint = 32, kRedo = 40,
                      kTimeline = 48, kMinRecovery = 136, kMinRecoveryTimeline = 144, kSize = 152;
// enum DBState.
constexpr std::uint32_t kShutdowned = 1, kShutdownedInRecovery = 2, kInArchiveRecovery = 5;

template <class T>
T load(const char* at) {
    T out;
    memcpy(&out, at, sizeof out);
    return out;
}

}  // namespace

Result<ControlFile> read_control_file(const std::string& data_directory) {
    const std::string path = data_directory + "/global/pg_control";
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return make_error(ErrorKind::NotFound, "cannot open pg_control", strerror(errno));
    char raw[kSize];
    const auto got = pread(fd, raw, sizeof raw, 0);
    close(fd);
    if (got != static_cast<ssize_t>(sizeof raw))
        return make_error(ErrorKind::Invalid, "pg_control is too short");
    const auto version = load<std::uint32_t>(raw + kVersion);
    if (version != 1300 && version != 1700 && version != 1800)
        return make_error(ErrorKind::Invalid,
                          "pg_control has version " + std::to_string(version) +
                              ", known are 1300 (PostgreSQL 13 to 16), 1700 and 1800");
    const auto state = load<std::uint32_t>(raw + kState);
    ControlFile out;
    out.system_identifier =
        SystemIdentifier(std::to_string(load<std::uint64_t>(raw + kIdentifier)));
    out.clean_shutdown = state == kShutdowned || state == kShutdownedInRecovery;
    out.ever_in_recovery = state == kShutdownedInRecovery || state == kInArchiveRecovery;
    out.checkpoint = Lsn(load<std::uint64_t>(raw + kCheckpoint));
    out.redo = Lsn(load<std::uint64_t>(raw + kRedo));
    out.checkpoint_timeline = Timeline(load<std::uint32_t>(raw + kTimeline));
    out.min_recovery = Lsn(load<std::uint64_t>(raw + kMinRecovery));
    out.min_recovery_timeline = Timeline(load<std::uint32_t>(raw + kMinRecoveryTimeline));
    return out;
}

}  // namespace matriarch::postgres
