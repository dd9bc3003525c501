// FileSink: receives a download so that the file appears complete and on disk, or not at all.
// Internal to src/net.
//
// Blocking; used on the client's worker thread, by one caller at a time. An abandoned sink removes
// its unfinished file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace matriarch::net {

class FileSink {
  public:
    explicit FileSink(std::string path);
    ~FileSink();
    FileSink(const FileSink&) = delete;
    FileSink& operator=(const FileSink&) = delete;

    Status write(std::string_view data);
    // Syncs, renames into place, syncs the directory.
    Status finish();
    std::uint64_t bytes() const { return bytes_; }

  private:
    Status open();

    const std::string path_;
    const std::string part_;  // in the same directory, so that the rename stays in one file system
    int fd_ = -1;
    std::uint64_t bytes_ = 0;
};

}  // namespace matriarch::net
