// Plan: what to do next, as data, each step with its reason. A value.
//
// The shell applies the steps in their order, the orders of one plan side by side, and observes
// again. Every step is idempotent; a step that meets a Conflict voids the rest of the plan.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "model/order.h"
#include "model/record.h"
#include "model/routes.h"

namespace matriarch::decide {

struct CreateInstance {
    InstanceName instance;
};
struct RemoveInstance {  // its volume stays
    InstanceName instance;
};
struct ReplacePod {  // deletes it; its StatefulSet makes it anew from the present template
    InstanceName instance;
    PodUid pod;
};
struct WriteRecord {  // compare-and-swap on record.version; creates it when that is empty
    AuthorityRecord record;
    // A change of master: how many acknowledged bytes it loses; absent: not known.
    std::optional<Bytes> loss = {};
};
struct SendOrder {
    InstanceName to;
    Order order;
};
struct PublishRoutes {
    Routes routes;
};
using Action =
    std::variant<CreateInstance, RemoveInstance, ReplacePod, WriteRecord, SendOrder, PublishRoutes>;

struct Step {
    Action action;
    std::string reason;
};

// Whose polls carry grants from now on: the record's holder, while it may serve.
struct Granting {
    InstanceName master;
    PodUid pod;
    Epoch epoch;
    EpochId epoch_id;
    std::chrono::milliseconds ttl{0};  // of the record; a grant ends with the leadership
    CandidateSet candidates;
    friend bool operator==(const Granting&, const Granting&) = default;
};

// Something that people should know: a condition of the PostgresCluster.
struct Finding {
    std::string type;     // Ready, MasterHealthy, ...
    bool holds = false;   // the condition's status
    std::string reason;   // UpperCamel
    std::string message;  // names the object, the field and the remedy
    friend bool operator==(const Finding&, const Finding&) = default;
};

struct Plan {
    std::string_view rule;  // the one that decided
    std::vector<Step> steps;
    std::vector<Finding> findings;
    std::optional<Granting> granting;  // absent: nobody's mandate is prolonged
    // The record or an agent knows this term, which is above ours: the election must pass it.
    std::optional<Term> term_needed;
    std::string pause;           // what is to be published as Routes::pause
    std::string phase;           // one word for people: Creating, Ready, FailingOver, ...
    bool uninformed = false;     // no agent was heard yet: nothing is said, nor done but our term
    bool master_failed = false;  // the master can't serve as things are
    // Slaves that are fit for reads as things are; they get them when that has lasted.
    std::vector<InstanceName> fit_for_reads;
    Duration recheck = seconds(5);  // observe again at the latest then, even if nothing happens
};

}  // namespace matriarch::decide
