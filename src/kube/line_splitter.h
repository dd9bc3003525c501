// LineSplitter: from chunks of any size to whole lines.
//
// A watch event is one line of any length (an object may have 1.5 MB), chunks are cut anywhere,
// also inside of a UTF-8 character, and the connection may end inside of a line: that rest is
// dropped. Copies only lines that span chunks. Not thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace matriarch::kube {

class LineSplitter {
  public:
    // Calls on_line(std::string_view) -> bool for each complete line, without its line end; empty
    // lines are skipped. Returns false, at once, if on_line did.
    template <class OnLine>
    bool feed(std::string_view chunk, OnLine&& on_line) {
        for (;;) {
            const std::size_t end = chunk.find('\n');
            if (end == std::string_view::npos) {
                rest_.append(chunk);
                return true;
            }
            std::string_view line = chunk.substr(0, end);
            chunk.remove_prefix(end + 1);
            if (!rest_.empty()) {
                rest_.append(line);
                line = rest_;
            }
            if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
            const bool go_on = line.empty() || on_line(line);
            rest_.clear();
            // One huge object must not hold its memory for the life of the watch.
            if (rest_.capacity() > kKeep) rest_.shrink_to_fit();
            if (!go_on) return false;
        }
    }

    std::size_t pending() const { return rest_.size(); }

  private:
    static constexpr std::size_t kKeep = 64 * 1024;
    std::string rest_;
};

}  // namespace matriarch::kube
