// Checks: the invariants, judged from outside: by what PostgreSQL acknowledged, by what the API's
// objects say, and by the volumes. See docs/simulation.md for which invariant is checked where.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api_server.h"
#include "contracts.h"
#include "kubelet.h"
#include "model/record.h"
#include "model/routes.h"
#include "postgres.h"

namespace matriarch::sim {

class Checks final : public Witness {
  public:
    Checks(World& world, ApiServer& api, Contracts& contracts)
        : world_(world), contracts_(contracts) {
        api.on_change([this](const std::string& plural, const Json* before, const Json* after) {
            changed(plural, before, after);
        });
    }
    void look_at(Kubelet& kubelet) { kubelet_ = &kubelet; }

    // Witness.
    void acknowledges(const Postgres& server, std::uint64_t row, Lsn end) override;
    void makes_master(const Postgres& server) override;
    void initializes(const Postgres& server) override;
    void begins_to_stream(const Postgres& slave, const Postgres& upstream) override;
    void replaces_data(const Postgres& server, const Postgres& source) override;

    // Called when the record's phase is another.
    void on_phase(std::function<void(Phase)> call) { on_phase_ = std::move(call); }
    const std::optional<AuthorityRecord>& record() const { return record_; }
    const std::optional<Routes>& routes() const { return routes_; }

    // The holder's pod is gone for good and nobody knows whether it still acknowledges; nor does a
    // full candidate answer, who might lead after an expiry: only an administrator's word helps.
    bool needs_a_person() const;
    // Who has most of what is left, where volumes were lost that alone may have had commits: nobody
    // leads until a person gives those up.
    std::optional<InstanceName> left_with_most() const;
    // What is missing until all is well; empty: nothing.
    std::string unrest() const;
    // A master whose clock is wrong holds no grant.
    void nobody_is_granted();
    // At the end, in a calm cluster.
    void losses_as_reported();
    // No acknowledged row may be lost at all.
    void forbid_loss() { loss_forbidden_ = true; }
    void allow_loss() { loss_forbidden_ = false; }
    bool loss_forbidden() const { return loss_forbidden_; }
    // The clock of this host runs beyond the limit: as master it gets no grants, so that nobody
    // becomes a candidate.
    void expect_no_grants(HostId odd) { odd_host_ = odd; }
    // The API says again what it said earlier: what came after stays true, until it says more.
    void note_restore() {
        restored_ = true;
        contracts_.note_restore();
    }
    // What the operator writes now belongs to nobody.
    void note_deletion() { deleted_ = true; }

  private:
    struct Acknowledged {
        std::uint64_t row = 0;
        bool lost = false;
    };

    void changed(const std::string& plural, const Json* before, const Json* after);
    void record_changed(const Json* after);
    void routes_changed(const Json& map);
    void check_pace(const std::optional<Routes>& before, const Routes& routes);
    void reports_changed(const Json* before, const Json& cluster);
    void count_lost(const AuthorityRecord& serving);
    std::string why_not_its_right(const Postgres& server) const;
    std::string unrest_of_master(const AuthorityRecord& record) const;

    World& world_;
    Contracts& contracts_;
    Kubelet* kubelet_ = nullptr;
    std::optional<AuthorityRecord> record_;
    std::optional<Routes> routes_;
    TimePoint routes_written_{};
    std::vector<Acknowledged> book_;
    std::set<Epoch> served_;  // epochs that were verified
    TimePoint last_acknowledged_;
    PodUid last_server_;
    std::map<Epoch, std::uint64_t> lost_;  // bytes, by the epoch that began without them
    std::map<Epoch, std::optional<std::int64_t>> reported_;
    std::size_t slaves_ = 0;  // as the spec says
    bool loss_forbidden_ = false, initialized_ = false, deleted_ = false, restored_ = false;
    std::optional<HostId> odd_host_;
    std::function<void(Phase)> on_phase_;
};

}  // namespace matriarch::sim
