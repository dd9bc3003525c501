#include "operator/history.h"

#include <algorithm>

namespace matriarch::op {
namespace {

constexpr std::int64_t kFounding = 1;  // the epoch of the first master, which nobody preceded
constexpr const char* kKeptAside = ", kept aside by ";

}  // namespace

void record_change(std::vector<ChangeOfMaster>& history, ChangeOfMaster change) {
    const auto known = std::find_if(history.begin(), history.end(), [&](const ChangeOfMaster& c) {
        return c.epoch == change.epoch;
    });
    if (known != history.end()) {
        *known = std::move(change);
        return;
    }
    history.insert(history.begin(), std::move(change));
    if (history.size() > kMaxHistory) history.resize(kMaxHistory);
}

std::vector<ChangeOfMaster> whole_history(std::vector<ChangeOfMaster> published,
                                          const std::vector<ChangeOfMaster>& untold) {
    for (auto i = untold.rbegin(); i != untold.rend(); ++i) record_change(published, *i);
    return published;
}

std::optional<ChangeOfMaster> untold_change(const std::vector<ChangeOfMaster>& history,
                                            const AuthorityRecord& record, WallTime now) {
    const auto epoch = static_cast<std::int64_t>(record.epoch.value);
    const bool told = std::any_of(history.begin(), history.end(),
                                  [&](const ChangeOfMaster& c) { return c.epoch >= epoch; });
    if (told || record.former.empty() || record.phase != Phase::Serving || !record.verified)
        return {};
    ChangeOfMaster change;
    change.time = format_rfc3339(now);
    change.epoch = epoch;
    change.from = record.former.value;
    change.to = record.holder.value;
    change.reason = "found afterwards: the operator that made it ended before it could tell";
    change.proof = to_string(record.proof.value_or(ProofKind::ConfirmedFence));
    change.loss = loss_text({});
    return change;
}

std::string loss_text(std::optional<Bytes> at_most) {
    if (!at_most) return "not known: the old master's last WAL was not seen";
    if (at_most->value == 0) return "none";
    return "at most " + std::to_string(at_most->value) + " bytes of WAL";
}

namespace {

// By proof, or by how the old master rejoined.
bool is_exact(const ChangeOfMaster& change) {
    return change.loss_bytes == 0 || change.loss.find(kKeptAside) != std::string::npos;
}

}  // namespace

std::optional<ChangeOfMaster> settle_loss(const std::vector<ChangeOfMaster>& history,
                                          const InstanceName& instance, const Rejoined& rejoined) {
    // A clone has no trace of what was there before.
    if (rejoined.by != RejoinedBy::Following && rejoined.by != RejoinedBy::Rewind) return {};
    const auto entry = std::find_if(history.begin(), history.end(), [&](const auto& change) {
        return change.from == instance.value && change.to != instance.value &&
               change.epoch <= static_cast<std::int64_t>(rejoined.epoch.value);
    });
    if (entry == history.end()) return {};
    // Where a later change was not told, it may have led since: then this is no word about then.
    const auto later = std::count_if(history.begin(), history.end(), [&](const auto& change) {
        return change.epoch > entry->epoch &&
               change.epoch <= static_cast<std::int64_t>(rejoined.epoch.value);
    });
    if (entry->epoch + later != static_cast<std::int64_t>(rejoined.epoch.value)) return {};
    // Between the two a candidate was given up, which clients may have found: its loss is not this
    // one's.
    const auto before = std::next(entry);
    const auto led_in = before == history.end() ? kFounding : before->epoch;
    if (led_in + 1 != entry->epoch) return {};
    // What a slave had too much in a later epoch is no word about what it lost as master.
    if (is_exact(*entry) && later > 0) return {};
    ChangeOfMaster exact = *entry;
    exact.loss_bytes = static_cast<std::int64_t>(rejoined.diverged.value);
    exact.loss = rejoined.diverged.value == 0 ? loss_text(Bytes(0))
                                              : std::to_string(rejoined.diverged.value) +
                                                    " bytes of WAL" + kKeptAside + instance.value;
    if (exact == *entry) return {};
    return exact;
}

}  // namespace matriarch::op
