// The words of the system as types: names, ids, epochs, LSNs. See docs/architecture.md.
//
// Values; compared and ordered by their content, except that Lsns may be compared on one timeline
// only (INV-6), which is the caller's duty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/strong.h"

namespace matriarch {

using InstanceName = StringId<struct InstanceNameTag>;  // orders-1: never a role
using PodUid = StringId<struct PodUidTag>;
using ResourceVersion = StringId<struct ResourceVersionTag>;  // opaque, for compare-and-swap
using EpochId = StringId<struct EpochIdTag>;                  // random, so that equal epochs differ
using Incarnation = StringId<struct IncarnationTag>;          // one start of one agent in one pod
using OrderId = StringId<struct OrderIdTag>;
using SystemIdentifier = StringId<struct SystemIdentifierTag>;  // PostgreSQL's, decimal

using Epoch = Strong<struct EpochTag, std::uint64_t>;        // rises with every change of master
using Term = Strong<struct TermTag, std::uint64_t>;          // rises with every change of leader
using Timeline = Strong<struct TimelineTag, std::uint32_t>;  // PostgreSQL's; 0 = unknown
using Bytes = Strong<struct BytesTag, std::uint64_t>;

// A position in the WAL; 0 is PostgreSQL's InvalidXLogRecPtr: unknown.
struct Lsn : Strong<struct LsnTag, std::uint64_t> {
    using Strong<struct LsnTag, std::uint64_t>::Strong;
    bool known() const { return value != 0; }
    // PostgreSQL's text form, 16/B374D848. parse: nothing for anything else.
    std::string str() const;
    static std::optional<Lsn> parse(std::string_view text);
};

// A timeline's number means one history only together with the epoch that opened it: two promotions
// that each die early, or one by hand, may open the same number.
struct Opening {
    Timeline timeline;
    EpochId by;  // empty: not known
    friend bool operator==(const Opening&, const Opening&) = default;
};

// `later` - `earlier`, 0 if it would be negative.
Bytes distance(Lsn earlier, Lsn later);

struct ClusterKey {
    std::string name_space;
    std::string name;
    std::string str() const { return name_space + "/" + name; }
    static std::optional<ClusterKey> parse(std::string_view text);
    friend auto operator<=>(const ClusterKey&, const ClusterKey&) = default;
};

// A fact about another process: unknown is not no.
enum class Known { Unknown, No, Yes };

std::string_view to_string(Known known);

// orders-2 of cluster orders -> 2; 0 if the name is not an instance of that cluster.
int ordinal_of(const InstanceName& instance, std::string_view cluster);
InstanceName instance_name(std::string_view cluster, int ordinal);
// The replication slot that serves an instance: orders-2 -> orders_2.
std::string slot_name(const InstanceName& instance);
// The only pod of an instance's StatefulSet: orders-2 -> orders-2-0.
std::string pod_name(const InstanceName& instance);

}  // namespace matriarch
