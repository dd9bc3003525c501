// What endangers data slowly: told while there is time to do something.
#include <algorithm>
#include <array>

#include "decide/findings.h"
#include "decide/text.h"

namespace matriarch::decide {
namespace {

constexpr std::uint64_t kGiB = 1u << 30;

int percent(Bytes part, Bytes whole) {
    return static_cast<int>(part.value / std::max<std::uint64_t>(1, whole.value / 100));
}

// Coarse, since each new text is an event.
std::string less_than(int percent, int limit) {
    constexpr std::array kSteps{2, 5, 10, 15, 25};
    for (const int step : kSteps)
        if (percent < step && step <= limit) return std::to_string(step);
    return std::to_string(limit);
}

// The slot that keeps most of an instance's WAL, if that is worth a word.
std::string greatest_slot(const Facts& f, const Report& report) {
    const Lsn end = std::max(report.written, report.position());
    const SlotView* most = nullptr;
    for (const auto& slot : report.slots)
        if (slot.restart.known() && (most == nullptr || slot.restart < most->restart)) most = &slot;
    if (most == nullptr || percent(distance(most->restart, end), report.volume_size) < 10)
        return "";
    const auto whose = std::find_if(f.seen.instances.begin(), f.seen.instances.end(),
                                    [&](const auto& i) { return slot_name(i.name) == most->name; });
    const std::string name =
        whose == f.seen.instances.end() ? "slot " + most->name : whose->name.value;
    return ", most of it kept for " + name + ", which is behind: bring it back, or lower " +
           "spec.replication.maxSlotWalKeepSize";
}

std::string size_text(Bytes size) {
    return size.value < kGiB ? std::to_string(size.value >> 20) + " MiB"
                             : std::to_string(size.value / kGiB) + " GiB";
}

std::string low_text(const Facts& f, const InstanceView& i) {
    const Report& r = *i.report;
    const int free = percent(r.volume_free, r.volume_size);
    if (free >= f.policy.volume_low) return "";
    return i.name.value + ": less than " + less_than(free, f.policy.volume_low) +
           " % of its volume of " + size_text(r.volume_size) + " is free";
}

std::string wal_text(const Facts& f, const InstanceView& i) {
    const Report& r = *i.report;
    if (percent(r.wal_size, r.volume_size) < f.policy.wal_large) return "";
    return i.name.value + ": WAL takes more than " + std::to_string(f.policy.wal_large) +
           " % of its volume of " + size_text(r.volume_size) + greatest_slot(f, r);
}

// Of a running master what it has on disk.
Lsn end_of(const InstanceView& i) {
    return serves(i) ? i.report->flushed : reach(*i.report);
}

// A copy from which the cluster could go on within spec.failover.maxLag.
bool is_copy(const Facts& f, const InstanceView& i, Lsn newest) {
    if (!f.fresh(i) || !has_whole_data(*i.report)) return false;
    const Report& r = *i.report;
    return r.system_identifier == f.record->system_identifier && r.timeline == f.record->timeline &&
           distance(end_of(i), newest) <= f.seen.spec.failover.max_lag;
}

bool is_new(const InstanceView& i) {
    return i.report &&
           (i.report->state == PostgresState::NoData || i.report->state == PostgresState::Cloning);
}

}  // namespace

Finding about_storage(const Facts& f) {
    std::string low, large;
    const auto add = [](std::string& all, const std::string& text) {
        if (!text.empty()) all += (all.empty() ? "" : "; ") + text;
    };
    for (const auto& i : f.seen.instances) {
        if (!i.report || i.report->volume_size.value == 0) continue;
        add(low, low_text(f, i));
        add(large, wal_text(f, i));
    }
    const std::string type = "StorageSufficient";
    if (low.empty() && large.empty()) return {type, true, "Sufficient", "no volume is nearly full"};
    const std::string reason = low.empty() ? "WalGrows" : "VolumeNearlyFull";
    add(low, large);
    return {type, false, reason, low + "; raise spec.storage.size, or remove data"};
}

std::optional<Finding> about_copies(const Facts& f) {
    if (f.record == nullptr || f.seen.spec.slaves == 0) return {};
    Lsn newest;
    for (const auto& i : f.seen.instances)
        if (f.fresh(i) && i.report->timeline == f.record->timeline)
            newest = std::max(newest, end_of(i));
    std::vector<const InstanceView*> copies;
    std::vector<InstanceName> others;
    for (const auto& i : f.seen.instances) {
        if (!f.member(i.name)) continue;
        if (is_copy(f, i, newest))
            copies.push_back(&i);
        else
            others.push_back(i.name);
        // The first slaves of a new cluster are being made: nothing was there to lose.
        if (f.record->epoch == Epoch(1) && is_new(i)) return {};
    }
    const std::string type = "CopiesSufficient";
    if (copies.size() >= 2)
        return Finding{type, true, "Sufficient", "more than one instance has the data"};
    if (copies.empty())
        return Finding{type, false, "NoCopy",
                       "no instance that answers has the newest data: remove no volume"};
    const auto& last = *copies.front();
    const bool failing =
        last.report->disk_stalled >= f.policy.disk_stalled || !low_text(f, last).empty();
    return Finding{type, false, failing ? "LastCopyInDanger" : "LastCopy",
                   last.name.value + " has the only copy of the newest data" +
                       (failing ? ", and its volume is full or fails" : "") + ": bring back " +
                       join(others) + ", and remove neither its pod nor its volume"};
}

}  // namespace matriarch::decide
