#include "operator/memory.h"

namespace matriarch::op {

void ClusterMemory::saw_record(const AuthorityRecord& seen, TimePoint now) {
    if (record && record->version == seen.version) return;
    AuthorityRecord same = seen;
    if (record) same.version = record->version;
    // Nothing but the version moved: the holder renewed it.
    if (record && same == *record) mandate.renewed = now;
    // A closing record that is not ours: nobody renewed it after this moment.
    if (seen.phase == Phase::Closing) mandate.replaced = now;
    record = seen;
    record_seen_at = now;
}

void ClusterMemory::wrote_record(const AuthorityRecord& stored, TimePoint now) {
    const bool closes = stored.phase == Phase::Closing && record && record->phase != Phase::Closing;
    if (closes) mandate.replaced = record_seen_at;
    record = stored;
    record_seen_at = now;
    live_version = stored.version;
}

void ClusterMemory::note_fit(const std::vector<InstanceName>& fit, TimePoint now) {
    std::map<InstanceName, TimePoint> since;
    for (const auto& name : fit) {
        const auto before = fit_since.find(name);
        since[name] = before == fit_since.end() ? now : before->second;
    }
    fit_since = std::move(since);
}

void ClusterMemory::note_ttl(const std::optional<Report>& master, TimePoint now) {
    const bool lowered = record && record->former_ttl.count() > 0 && master &&
                         master->pod == record->holder_pod && master->ttl <= record->ttl;
    if (!lowered)
        mandate.ttl_lowered.reset();
    else if (!mandate.ttl_lowered)
        mandate.ttl_lowered = now;
}

void ClusterMemory::note_epoch(decide::Observation& seen, TimePoint now) {
    if (record && record->epoch != epoch_) {
        epoch_ = record->epoch;
        epoch_since = now;
    }
    seen.epoch_since = epoch_since;
    if (record && record->phase == Phase::Serving && record->epoch != serving_epoch_) {
        serving_epoch_ = record->epoch;
        serving_since = now;
        streamed_at.clear();
    }
    seen.serving_since = serving_since;
}

void ClusterMemory::note_streams(decide::Observation& seen) {
    const auto* master = record ? seen.find(record->holder) : nullptr;
    for (auto& instance : seen.instances) {
        if (master != nullptr && master->reachable && master->report && instance.reachable &&
            master->report->stream_to(instance.name) != nullptr)
            streamed_at[instance.name] = master->reported_at;
        const auto last = streamed_at.find(instance.name);
        if (last != streamed_at.end()) instance.streamed_at = last->second;
    }
}

void ClusterMemory::note_term(Term term, TimePoint now) {
    if (term != term_) {
        mandate = {};
        fit_since.clear();
        term_ = term;
        if (record && record->phase == Phase::Closing) mandate.replaced = now;
    }
    if (record && record->term == term && !mandate.term_written) mandate.term_written = now;
}

}  // namespace matriarch::op
