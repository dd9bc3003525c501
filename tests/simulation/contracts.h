// Contracts: what the protocol (design.md) owes at each change of the record, and what instances
// owe to one another, judged by what is on disks and in servers rather than by what anybody says.
//
// Finer than the invariants of checks.h: a broken contract harms nobody until something else
// happens too, so a fault of the protocol is seen when it is made. What one agent owes is in
// ledger.h.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "model/record.h"
#include "postgres.h"

namespace matriarch::sim {

class Kubelet;

class Contracts {
  public:
    explicit Contracts(World& world) : world_(world) {}
    void look_at(Kubelet& kubelet) { kubelet_ = &kubelet; }

    // As the API stores it; null: the first one.
    void record_changed(const AuthorityRecord* before, const AuthorityRecord& after);
    // A server with this setting sends the acknowledgement of a commit that ends there.
    void acknowledges(const Postgres& server, const AuthorityRecord& record, Lsn end);
    // The API says again what it said earlier: nobody owes anything to what was forgotten.
    void note_restore() { restored_ = true; }

    // Until when this pod may accept no promotion after an expiry, on its host's clock.
    void promised(const PodUid& pod, TimePoint until);
    TimePoint promised_until(const PodUid& pod) const;
    // Its volume is lost, and with it what it knew.
    void forget(const PodUid& pod) { promises_.erase(pod); }

  private:
    void check_members(const AuthorityRecord& before, const AuthorityRecord& after);
    void check_rules(const AuthorityRecord& before, const AuthorityRecord& after);
    void check_successor(const AuthorityRecord& before, const AuthorityRecord& after);
    Duration mandate_left(const AuthorityRecord& over) const;
    bool fence_is_on_disk(const AuthorityRecord& over) const;
    long holding(const SyncRule& rule, const DataDirectory& master, Lsn end) const;

    World& world_;
    Kubelet* kubelet_ = nullptr;
    bool restored_ = false;
    std::map<PodUid, TimePoint> promises_;
    // The last commit that was acknowledged, or may have been, by another rule than the record's.
    Lsn by_another_rule_;
};

}  // namespace matriarch::sim
