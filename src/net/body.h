// BodySource: a body too large to hold, read piece by piece while the socket takes it.
//
// For WAL segments (16 MB to 1 GB) that one agent fetches from another. The server reads the next
// piece only when the former one was handed to the kernel, on a thread of its own: a stalled disk
// must not stop the io thread, which answers the operator's polls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"

namespace matriarch::net {

class BodySource {
  public:
    virtual ~BodySource() = default;
    // Bytes that read() will give in total; sent as Content-Length.
    virtual std::uint64_t length() const = 0;
    // Fills at most `size` bytes; 0 means the end. May block. One caller at a time, any thread.
    virtual Result<std::size_t> read(char* out, std::size_t size) = 0;
};

// `length` bytes of a file from `offset`; the whole rest if length is kToEnd. NotFound if there is
// no such file, Invalid if the range goes beyond its end. The file is kept open, so that a segment
// recycled by PostgreSQL under another name meanwhile is still the one asked for.
inline constexpr std::uint64_t kToEnd = UINT64_MAX;
Result<std::unique_ptr<BodySource>> open_file_range(const std::string& path,
                                                    std::uint64_t offset = 0,
                                                    std::uint64_t length = kToEnd);

}  // namespace matriarch::net
