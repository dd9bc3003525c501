// Who may say what to an agent, and what it tells everybody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "agent/files.h"
#include "agent/jobs.h"
#include "fixture.h"
#include "postgres/control_file.h"

namespace matriarch::testing {
namespace {

using ::testing::HasSubstr;

net::HttpResponse get(Lab& lab, int port, const std::string& path) {
    net::HttpClient client({}, lab.clock);
    net::HttpRequest request;
    request.target = path;
    net::PeerAddress peer;
    peer.ip = "127.0.0.1";
    peer.port = static_cast<std::uint16_t>(port);
    auto answer = client.request_and_wait(peer, 0, std::move(request),
                                          Deadline::after(lab.clock, seconds(3)));
    EXPECT_TRUE(answer) << path;
    return answer ? *answer : net::HttpResponse{};
}

TEST(Orders, GivenAMaster_WhenAnOrderIsNotForItOrTooOldOrTooLow_ThenItIsRefused) {
    Lab lab(1);
    lab.term = Term(5);
    lab.epoch = Epoch(7);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    Node& n = lab[1];
    const auto refused = [&](const char* why, const std::function<void(Order&)>& change) {
        Order o = n.order(OrderKind::Fence, std::string("Fence/") + why);
        change(o);
        const OrderAnswer answer = n.send(o);
        EXPECT_FALSE(answer.accepted) << why;
        EXPECT_THAT(answer.reason, HasSubstr(why));
    };
    refused("meant for incarnation", [](Order& o) { o.incarnation = Incarnation("other"); });
    refused("term 4 is over", [](Order& o) { o.term = Term(4); });
    refused("epoch 6 is over", [](Order& o) { o.epoch = Epoch(6); });
    refused("has id epoch-1", [](Order& o) { o.epoch_id = EpochId("another"); });
    refused("expired", [](Order& o) { o.clock_reading -= milliseconds(60000); });
    refused("data directory already", [&](Order& o) {
        o.kind = OrderKind::Initialize;
        o.config = lab.config(1);
        o.system_identifier = SystemIdentifier();
        o.epoch = Epoch(8);
        o.epoch_id = EpochId("epoch-8");
    });
    refused("needs a proof", [](Order& o) { o.kind = OrderKind::Promote; });
    refused("serves as master", [&](Order& o) {
        o.kind = OrderKind::Follow;
        o.upstream = n.as_upstream();
    });
    EXPECT_EQ(n.report().writable, Known::Yes);
    EXPECT_EQ(n.report().fenced, Epoch(0));
    EXPECT_EQ(n.report().term, Term(5));
}

TEST(Orders, GivenAMaster_WhenAskedOnItsHealthPort_ThenItTellsRoleAndReadiness) {
    Lab lab(1);
    lab[1].start();
    EXPECT_EQ(get(lab, lab[1].health_port, "/healthz").status, 200);
    EXPECT_EQ(get(lab, lab[1].health_port, "/readyz").status, 503);
    EXPECT_EQ(get(lab, lab[1].health_port, "/health").status, 503);
    Order first = lab[1].order(OrderKind::Initialize, "Initialize/1/first");
    first.config = lab.config(1);
    lab[1].obey(first);
    EXPECT_EQ(get(lab, lab[1].health_port, "/readyz").status, 200);
    EXPECT_THAT(get(lab, lab[1].health_port, "/health").body, HasSubstr("\"role\":\"master\""));
    EXPECT_THAT(get(lab, lab[1].health_port, "/metrics").body,
                HasSubstr("matriarch_agent_is_master{cluster=\"orders\",instance=\"orders-1\"} 1"));
    EXPECT_EQ(get(lab, lab[1].health_port, "/nothing").status, 404);
}

TEST(Orders, GivenAStoppedInstance_WhenItsControlFileIsRead_ThenItSaysWhatPgControldataSays) {
    Lab lab(1);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql("CREATE TABLE t AS SELECT generate_series(1, 100000)");
    const Report fenced = lab[1].obey(lab[1].order(OrderKind::Fence, "Fence/1"));
    const auto control = postgres::read_control_file(lab[1].root + "/pgdata");
    ASSERT_TRUE(control);
    const std::string command =
        "LC_ALL=C /usr/lib/postgresql/15/bin/pg_controldata " + lab[1].root + "/pgdata";
    FILE* pipe = popen(command.c_str(), "r");
    std::string said;
    char buffer[512];
    while (fgets(buffer, sizeof buffer, pipe)) said += buffer;
    pclose(pipe);
    EXPECT_THAT(said, HasSubstr(control->system_identifier.value));
    EXPECT_THAT(
        said,
        HasSubstr("Latest checkpoint location:           " + control->checkpoint.str() + "\n"));
    EXPECT_THAT(said, HasSubstr("REDO location:    " + control->redo.str() + "\n"));
    EXPECT_THAT(
        said,
        HasSubstr("Minimum recovery ending location:     " + control->min_recovery.str() + "\n"));
    EXPECT_FALSE(control->clean_shutdown);

    // pg_waldump stops where the valid records end and names that place.
    const std::string dump = "LC_ALL=C /usr/lib/postgresql/15/bin/pg_waldump -q -s " +
                             control->redo.str() + " -p " + lab[1].root +
                             "/pgdata/pg_wal 2>&1; true";
    pipe = popen(dump.c_str(), "r");
    said.clear();
    while (fgets(buffer, sizeof buffer, pipe)) said += buffer;
    pclose(pipe);
    printf("    end of WAL %s\n", fenced.end_of_wal.str().c_str());
    const std::string full = "LC_ALL=C /usr/lib/postgresql/15/bin/pg_waldump -s " +
                             control->redo.str() + " -p " + lab[1].root +
                             "/pgdata/pg_wal 2>&1 | tail -1";
    pipe = popen(full.c_str(), "r");
    said.clear();
    while (fgets(buffer, sizeof buffer, pipe)) said += buffer;
    pclose(pipe);
    printf("    pg_waldump: %s", said.c_str());
    EXPECT_THAT(said, HasSubstr(fenced.end_of_wal.str()));
}

TEST(Orders, GivenADirectory_WhenTheAgentIsInstalled_ThenItRunsFromThereUnderItsOwnLoader) {
    Lab lab(1);
    const std::string target = lab.folder + "/install";
    const std::string command =
        std::string(AGENT_BINARY) + " install " + target + " --uid 1234 --gid 5678";
    ASSERT_EQ(system(command.c_str()), 0);
    ASSERT_EQ(system(command.c_str()), 0) << "repeating must be harmless";
    const std::string again = target + "/lib/ld.so --library-path " + target + "/lib " + target +
                              "/bin/matriarch-agent install " + target + "2 --uid 1 --gid 2";
    ASSERT_EQ(system(again.c_str()), 0);
    for (const char* file : {"/bin/matriarch-agent", "/lib/ld.so", "/lib/libpq.so.5"})
        EXPECT_TRUE(agent::exists(target + "2" + file)) << file;
    EXPECT_THAT(*agent::read_file(target + "/etc/passwd"), HasSubstr("postgres:x:1234:5678:"));
}

}  // namespace
}  // namespace matriarch::testing
