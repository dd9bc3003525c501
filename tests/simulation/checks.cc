#include "checks.h"

#include <algorithm>

#include "kube/json_access.h"
#include "operator/names.h"
#include "operator/status.h"

namespace matriarch::sim {
namespace {

// What a thawed server may still do until the warden is scheduled: the stated limit.
constexpr Duration kThawLimit = milliseconds(60);
constexpr Duration kPace = milliseconds(950);  // a second of a clock that may run fast
constexpr Duration kLively = seconds(2);
constexpr std::uint64_t kRowBytes = 200;

std::string describe(const AuthorityRecord& r) {
    return "record: epoch " + std::to_string(r.epoch.value) + " " +
           std::string(to_string(r.phase)) + ", " + r.holder.value + " (" + r.holder_pod.value +
           "), term " + std::to_string(r.term.value);
}

}  // namespace

// --- INV-1 ------------------------------------------------------------------------------------

// The record's holder, in the record's epoch: nobody else may acknowledge.
std::string Checks::why_not_its_right(const Postgres& server) const {
    const auto& place = server.place();
    const Container* container = kubelet_->container_of(place.name);
    if (!record_) return "there is no record";
    if (record_->holder != place.name || record_->holder_pod != place.pod)
        return "the record names " + record_->holder.value + " (" + record_->holder_pod.value + ")";
    if (container == nullptr || container->place().pod != place.pod) return "its pod is no more";
    // The one that serves goes on in the epoch after all that the lost record knew.
    if (restored_ && record_->phase == Phase::Promoting) return "";
    if (container->agent().state().epoch != record_->epoch)
        return "its agent is in epoch " + std::to_string(container->agent().state().epoch.value) +
               ", the record in " + std::to_string(record_->epoch.value);
    return "";
}

void Checks::acknowledges(const Postgres& server, std::uint64_t row, Lsn end) {
    world_.count("acknowledged");
    if (deleted_) return;  // the record that the operator makes anew is not looked at either
    if (const auto why = why_not_its_right(server); !why.empty()) {
        const auto thawed = server.thawed_at();
        if (thawed && world_.now() - *thawed < kThawLimit) {
            world_.count("acknowledged after a thaw");
            return;
        }
        world_.violate("INV-1", server.place().name.value + " (" + server.place().pod.value +
                                    ") acknowledges a row, but " + why);
    }
    if (record_) contracts_.acknowledges(server, *record_, end);
    book_.push_back({row, false});
    last_acknowledged_ = world_.now();
    last_server_ = server.place().pod;
}

void Checks::makes_master(const Postgres& server) {
    const Container* container = kubelet_->container_of(server.place().name);
    if (container != nullptr) container->ledger().makes_master();
}

// --- INV-3 ------------------------------------------------------------------------------------

void Checks::initializes(const Postgres& server) {
    if (initialized_)
        world_.violate("INV-3", server.place().name.value + " makes a second database");
    initialized_ = true;
}

void Checks::replaces_data(const Postgres& server, const Postgres& source) {
    const auto& kept = source.data();
    // What is broken already is no copy: a slave that is behind will do.
    const bool broken = server.data().kind == agent::DataFacts::Kind::Broken;
    if (kept.kind != agent::DataFacts::Kind::Complete ||
        (!broken && kept.timeline() < record_->timeline))
        world_.violate("INV-3", server.place().name.value + " replaces its data by that of " +
                                    source.place().name.value + ", which is incomplete or older");
    world_.count("clones over data");
}

// PostgreSQL judges by numbers; whether it is one history, we know: what the slave has is the
// beginning of what the upstream has, record by record.
void Checks::begins_to_stream(const Postgres& slave, const Postgres& upstream) {
    const auto& own = slave.data().wal;
    const auto& source = upstream.data().wal;
    const auto parts = std::mismatch(own.begin(), own.end(), source.begin(), source.end()).first;
    if (parts == own.end()) return;
    world_.violate("one history", slave.place().name.value + " streams from " +
                                      upstream.place().name.value + ", but they part at " +
                                      parts->end.str() + " on timeline " +
                                      std::to_string(parts->timeline.value));
}

// --- what the API says ------------------------------------------------------------------------

void Checks::changed(const std::string& plural, const Json* before, const Json* after) {
    if (after == nullptr || deleted_) return;
    const auto name = (*after)["metadata"]["name"].get<std::string>();
    if (plural == "leases" && name == op::lease_name("orders")) record_changed(after);
    if (plural == "configmaps" && name == op::routing_config_map("orders")) routes_changed(*after);
    if (plural == "postgresclusters") reports_changed(before, *after);
}

void Checks::record_changed(const Json* after) {
    const auto record = record_from_lease(*after);
    if (!record) return world_.violate("record", record.error().message());
    if (restored_ && record_ && record->epoch < record_->epoch) return;
    const auto before = std::exchange(record_, *record);
    contracts_.record_changed(before ? &*before : nullptr, *record_);
    const bool news = !before || before->epoch != record->epoch || before->phase != record->phase ||
                      before->holder_pod != record->holder_pod || before->term != record->term;
    if (!news) return;
    world_.tell("api", describe(*record));
    if (before && record->epoch < before->epoch) world_.violate("record", "the epoch fell");
    if (before && record->term < before->term && !restored_)
        world_.violate("record", "the term fell");
    const bool same_epoch = before && before->epoch == record->epoch;
    if (same_epoch && !before->system_identifier.empty() &&
        (before->holder != record->holder || before->holder_pod != record->holder_pod ||
         before->epoch_id != record->epoch_id))
        world_.violate("INV-1",
                       "two masters in one epoch: " + describe(*before) + "; " + describe(*record));
    if (on_phase_ && (!before || before->phase != record->phase)) on_phase_(record->phase);
    if (record->phase == Phase::Closing) world_.count("closings");
    if (before && !same_epoch) world_.count("epochs");
    if (record->phase == Phase::Serving && served_.insert(record->epoch).second && before) {
        world_.count("failovers");
        count_lost(*record);
    }
}

// --- INV-4 ------------------------------------------------------------------------------------

void Checks::routes_changed(const Json& map) {
    const auto data = map.find("data");
    if (data == map.end() || !data->contains("routes.json")) return;
    const auto routes = routes_from_json((*data)["routes.json"].get<std::string>());
    if (!routes) return world_.violate("INV-4", routes.error().message());
    const auto stamp = [](const Routes& r) { return std::pair(r.epoch, r.sequence); };
    if (restored_ && routes_ && stamp(*routes) < stamp(*routes_)) return;
    const auto before = std::exchange(routes_, *routes);
    if (before && stamp(*routes) < stamp(*before))
        world_.violate("INV-4", "the routes' stamp fell");
    check_pace(before, *routes);
    if (before && before->master == routes->master) return;
    world_.tell("api",
                "write route: " + (routes->master ? routes->master->instance.value : "none") +
                    ", epoch " + std::to_string(routes->epoch.value));
    if (!routes->master) return;
    if (!served_.contains(routes->epoch))
        world_.violate("INV-4", "the write route names a master that was not verified");
    const Container* container = kubelet_->container_of(routes->master->instance);
    if (container == nullptr || container->place().pod != routes->master->pod) return;
    const Postgres& server = container->postgres();
    if (server.takes_sessions() && !server.serves_as_master())
        world_.violate("INV-4", "the write route names a slave");
}

// Lag and states are news once a second; only a master is in a hurry. What a changed spec adds to
// the ConfigMap beside the routes bears the same stamp.
void Checks::check_pace(const std::optional<Routes>& before, const Routes& routes) {
    if (before && before->epoch == routes.epoch && before->sequence == routes.sequence) return;
    const TimePoint last = std::exchange(routes_written_, world_.now());
    if (!before || before->epoch != routes.epoch || before->master != routes.master) return;
    if (world_.now() - last < kPace)
        world_.violate("pace", "routes are written twice within a second");
}

// --- INV-5 ------------------------------------------------------------------------------------

void Checks::count_lost(const AuthorityRecord& serving) {
    Kubelet::Machine* machine = kubelet_->find(serving.holder);
    if (machine == nullptr) return;
    std::vector<std::uint64_t> rows;
    for (const auto& record : machine->volume.data.wal)
        if (record.row != 0) rows.push_back(record.row);
    if (!std::is_sorted(rows.begin(), rows.end())) std::sort(rows.begin(), rows.end());
    std::uint64_t lost = 0;
    for (auto& row : book_) {
        if (row.lost || std::binary_search(rows.begin(), rows.end(), row.row)) continue;
        row.lost = true;
        ++lost;
    }
    lost_[serving.epoch] = lost * kRowBytes;
    if (lost == 0) return;
    world_.count("rows lost", lost);
    world_.count("failovers with loss");
    world_.tell("book", std::to_string(lost) + " acknowledged rows are not in epoch " +
                            std::to_string(serving.epoch.value));
    if (loss_forbidden_) world_.violate("INV-5", "acknowledged rows are lost");
}

void Checks::reports_changed(const Json* before, const Json& cluster) {
    slaves_ = cluster["spec"].value("slaves", std::size_t{2});
    const auto history_of = [](const Json& c) -> const Json& {
        return kube::get_array(c, {"status", "history"});
    };
    if (before != nullptr && history_of(*before) == history_of(cluster)) return;
    const auto status = op::decode_status(cluster.value("status", Json::object()));
    for (const auto& change : status.history)
        reported_[Epoch(static_cast<std::uint64_t>(change.epoch))] = change.loss_bytes;
}

void Checks::losses_as_reported() {
    for (const auto& [epoch, bytes] : lost_) {
        const auto found = reported_.find(epoch);
        if (found == reported_.end() || !found->second) continue;  // not known, and said so
        if (bytes > static_cast<std::uint64_t>(*found->second))
            world_.violate("INV-5", "epoch " + std::to_string(epoch.value) + " lost " +
                                        std::to_string(bytes) + " bytes of rows, the report says " +
                                        std::to_string(*found->second));
    }
}

// --- rest -------------------------------------------------------------------------------------

std::string Checks::unrest_of_master(const AuthorityRecord& record) const {
    Container* container = kubelet_->container_of(record.holder);
    if (container == nullptr || container->place().pod != record.holder_pod)
        return "the master's pod is not the record's";
    if (!container->postgres().writable()) return "the master does not accept writes";
    if (world_.now() - last_acknowledged_ > kLively || last_server_ != record.holder_pod)
        return "nothing is acknowledged";
    return "";
}

// The holder's pod is gone for good without having told its end, and no full member of the
// candidate set, who could follow an expiry, answers with what the cluster served from.
bool Checks::needs_a_person() const {
    if (!record_) return false;
    const auto found = kubelet_->machines().find(record_->holder);
    if (found == kubelet_->machines().end() || found->second.pod == record_->holder_pod)
        return false;
    const auto& state = found->second.volume.state;
    const bool fenced =
        state && state->fenced >= record_->epoch && state->fenced_by == record_->holder_pod;
    const auto is_heir = [this](const Member& member) {
        Container* container = kubelet_->container_of(member.instance);
        if (member.membership != Membership::Full || container == nullptr) return false;
        const Report report = container->agent().report();
        return report.pod == member.pod && report.state == PostgresState::Running &&
               report.in_recovery == Known::Yes && report.timeline == record_->timeline;
    };
    const auto& members = record_->candidates.members;
    return !fenced && std::none_of(members.begin(), members.end(), is_heir);
}

std::optional<InstanceName> Checks::left_with_most() const {
    if (!record_ || record_->phase == Phase::Serving) return {};
    const auto is_lost = [this](const InstanceName& name) {
        const auto* machine = kubelet_->find(name);
        return machine != nullptr && machine->lost_volume;
    };
    auto rules = record_->former_sync;
    rules.push_back(record_->sync);
    const bool gone = std::any_of(rules.begin(), rules.end(), [&](const SyncRule& rule) {
        const auto& all = rule.members;
        return rule.waits() && std::count_if(all.begin(), all.end(), is_lost) >= rule.wait_for;
    });
    if (!gone) return {};
    const Kubelet::Machine* best = nullptr;
    for (const auto& [name, machine] : kubelet_->machines()) {
        const auto& data = machine.volume.data;
        const bool usable =
            data.kind == agent::DataFacts::Kind::Complete && data.timeline() == record_->timeline;
        if (usable && (best == nullptr || data.end() > best->volume.data.end())) best = &machine;
    }
    return best == nullptr ? std::nullopt : std::optional(best->name);
}

// Asked when the clocks were compared for long enough.
void Checks::nobody_is_granted() {
    if (!odd_host_ || !record_) return;
    const Container* master = kubelet_->container_of(record_->holder);
    if (master == nullptr || master->place().host != *odd_host_) return;
    if (master->agent().report().mandate == MandateSource::Grant)
        world_.violate("clocks", record_->holder.value + " is granted, and its clock is wrong");
}

std::string Checks::unrest() const {
    if (!record_) return "no record";
    if (record_->phase != Phase::Serving) {
        const auto* machine = kubelet_->find(record_->holder);
        return describe(*record_) + "; it runs in " + (machine ? machine->pod.value : "no pod");
    }
    if (auto why = unrest_of_master(*record_); !why.empty()) return why;
    if (record_->positions.size() != slaves_)
        return "there are " + std::to_string(record_->positions.size()) + " positions";
    for (const auto& name : record_->positions) {
        Container* container = kubelet_->container_of(name);
        if (container == nullptr) return name.value + " has no container";
        if (!container->postgres().streams_from(record_->holder))
            return name.value + " does not stream from the master";
        const Member* member = record_->candidates.find(container->place().pod);
        if (!odd_host_ && (member == nullptr || member->membership != Membership::Full))
            return name.value + " is no full candidate";
    }
    if (!routes_ || !routes_->master || routes_->master->pod != record_->holder_pod ||
        routes_->epoch != record_->epoch)
        return "the write route is not the master's";
    for (const auto& slave : routes_->slaves)
        if (slave.state != RouteState::Ready) return slave.instance.value + " takes no reads";
    return "";
}

}  // namespace matriarch::sim
