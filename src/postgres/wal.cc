#include "postgres/wal.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace matriarch::postgres {
namespace {

constexpr std::size_t kSegmentNameLength = 24;
constexpr std::string_view kHistorySuffix = ".history";

// PostgreSQL writes file names in upper-case hex; a lower-case one is not its own.
bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); });
}

std::uint32_t hex(std::string_view text) {
    std::uint32_t out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out, 16);
    return out;
}

std::uint64_t segments_per_id(std::uint64_t segment_size) {
    return (std::uint64_t{1} << 32) / segment_size;
}

// The end of `timeline` on the way to `p`: where it was left, or p.at for the last one.
std::optional<Lsn> end_of(const Position& p, Timeline timeline) {
    if (timeline == p.timeline) return p.at;
    for (const auto& entry : p.history)
        if (entry.timeline == timeline) return entry.end;
    return {};
}

}  // namespace

std::string segment_file(Timeline timeline, std::uint64_t number, std::uint64_t segment_size) {
    const auto per_id = segments_per_id(segment_size);
    char out[40];
    snprintf(out, sizeof out, "%08X%08X%08X", timeline.value,
             static_cast<unsigned>(number / per_id), static_cast<unsigned>(number % per_id));
    return out;
}

std::string segment_file(Timeline timeline, Lsn inside, std::uint64_t segment_size) {
    return segment_file(timeline, inside.value / segment_size, segment_size);
}

std::optional<SegmentName> parse_segment_file(std::string_view name, std::uint64_t segment_size) {
    if (name.size() != kSegmentNameLength || !is_hex(name)) return {};
    const auto per_id = segments_per_id(segment_size);
    const std::uint64_t low = hex(name.substr(16));
    if (low >= per_id) return {};
    return SegmentName{Timeline(hex(name.substr(0, 8))), hex(name.substr(8, 8)) * per_id + low};
}

std::string history_file(Timeline timeline) {
    char out[24];
    snprintf(out, sizeof out, "%08X.history", timeline.value);
    return out;
}

std::optional<Timeline> parse_history_file(std::string_view name) {
    if (name.size() != 8 + kHistorySuffix.size() || !name.ends_with(kHistorySuffix)) return {};
    if (!is_hex(name.substr(0, 8))) return {};
    return Timeline(hex(name.substr(0, 8)));
}

bool is_wal_file_name(std::string_view name) {
    return (name.size() == kSegmentNameLength && is_hex(name)) || parse_history_file(name);
}

std::optional<std::vector<HistoryEntry>> parse_history(std::string_view text) {
    std::vector<HistoryEntry> out;
    while (!text.empty()) {
        const auto newline = text.find('\n');
        std::string_view line = text.substr(0, newline);
        text = newline == std::string_view::npos ? "" : text.substr(newline + 1);
        line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
        if (line.empty() || line.front() == '#') continue;
        std::uint32_t timeline = 0;
        const auto [rest, error] =
            std::from_chars(line.data(), line.data() + line.size(), timeline);
        if (error != std::errc()) return {};
        line.remove_prefix(static_cast<std::size_t>(rest - line.data()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        const auto lsn = Lsn::parse(line.substr(0, line.find_first_of(" \t\r")));
        if (!lsn) return {};
        if (!out.empty() && out.back().timeline.value >= timeline) return {};
        out.push_back({Timeline(timeline), *lsn});
    }
    return out;
}

std::optional<Fork> find_fork(const Position& own, const Position& other) {
    std::vector<Timeline> path;
    for (const auto& entry : own.history) path.push_back(entry.timeline);
    path.push_back(own.timeline);

    std::optional<Fork> fork;
    for (const Timeline timeline : path) {
        const auto mine = end_of(own, timeline);
        const auto theirs = end_of(other, timeline);
        if (!mine || !theirs) break;
        fork = Fork{timeline, std::min(*mine, *theirs)};
        // Left at different points: what follows are different timelines, whatever their numbers.
        if (*mine != *theirs) break;
    }
    return fork;
}

}  // namespace matriarch::postgres
