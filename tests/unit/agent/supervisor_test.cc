#include "agent/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "agent/files.h"
#include "agent/process_lock.h"
#include "agent/tool.h"
#include "base/clock.h"

namespace matriarch::agent {
namespace {

class Processes : public ::testing::Test {
  protected:
    Processes() {
        folder = ::testing::TempDir() + "matriarch-proc-XXXXXX";
        EXPECT_NE(mkdtemp(folder.data()), nullptr);
    }
    ~Processes() override {
        supervisor.kill_all(false);
        wait_until([&] { return supervisor.alive(Supervisor::Whom::All, false).empty(); });
        EXPECT_TRUE(remove_tree(folder));
    }
    template <class Condition>
    bool wait_until(Condition condition) {
        const auto deadline = Deadline::after(clock, seconds(10));
        while (!condition()) {
            if (deadline.passed(clock)) return false;
            supervisor.reap();
            poll(nullptr, 0, 1);
        }
        return true;
    }
    SpawnSpec shell(const std::string& script) {
        SpawnSpec spec;
        spec.argv = {"/bin/sh", "-c", script};
        spec.env = {"PATH=/usr/bin:/bin"};
        return spec;
    }
    SystemClock clock;
    std::string folder;
    Supervisor supervisor{""};
};

TEST_F(Processes, GivenAChild_WhenItEnds_ThenItsStatusIsTold) {
    int status = -1;
    ASSERT_TRUE(supervisor.spawn(shell("exit 7"), [&](int s) { status = s; }));
    ASSERT_TRUE(wait_until([&] { return status != -1; }));
    EXPECT_EQ(describe_exit(status), "exit code 7");
}

TEST_F(Processes, GivenAProgramThatIsNotThere_WhenSpawned_ThenItSaysSo) {
    SpawnSpec spec;
    spec.argv = {"/nonexistent/program"};
    const auto pid = supervisor.spawn(spec, {});
    ASSERT_FALSE(pid);
    EXPECT_NE(pid.error().message().find("/nonexistent/program"), std::string::npos);
}

TEST_F(Processes, GivenAnOrphanInItsOwnSession_WhenAllAreKilled_ThenItIsAmongThem) {
    // As PostgreSQL's backends are: setsid, and then the parent dies.
    int status = -1;
    SpawnSpec spec = shell("setsid sleep 60 & setsid sleep 60 & exit 0");
    spec.session = true;
    ASSERT_TRUE(supervisor.spawn(spec, [&](int s) { status = s; }));
    ASSERT_TRUE(wait_until([&] {
        return status == 0 && supervisor.alive(Supervisor::Whom::Servers, false).size() == 2;
    }));
    supervisor.kill_all(false);
    EXPECT_TRUE(
        wait_until([&] { return supervisor.alive(Supervisor::Whom::Servers, false).empty(); }));
}

TEST_F(Processes, GivenAHelper_WhenServersAreLookedFor_ThenItAndItsChildrenAreNone) {
    SpawnSpec spec = shell("sleep 60; true");
    spec.helper = true;
    ASSERT_TRUE(supervisor.spawn(spec, {}));
    ASSERT_TRUE(
        wait_until([&] { return supervisor.alive(Supervisor::Whom::All, false).size() == 2; }));
    EXPECT_TRUE(supervisor.alive(Supervisor::Whom::Servers, false).empty());
}

TEST_F(Processes, GivenTheLock_WhenAChildOutlivesTheAgent_ThenTheNextOneIsNotOwner) {
    const std::string path = folder + "/lock";
    auto first = std::make_unique<ProcessLock>(path);
    ASSERT_TRUE(first->ours());
    SpawnSpec spec = shell("exec sleep 60");
    spec.keep = first->descriptor();
    const auto pid = supervisor.spawn(spec, {});
    ASSERT_TRUE(pid);
    first.reset();  // the agent is gone, its child is not
    ProcessLock second(path);
    EXPECT_FALSE(second.ours());
    Supervisor by_lock(path);
    const auto left = by_lock.alive(Supervisor::Whom::Servers, true);
    EXPECT_NE(std::find(left.begin(), left.end(), *pid), left.end());
    kill(*pid, SIGKILL);
    EXPECT_TRUE(wait_until([&] { return second.ours(); }));
}

TEST_F(Processes, GivenATool_WhenItFails_ThenItsLastWordsAreKept) {
    std::atomic<bool> stop = false;
    Result<ToolEnd> end = ToolEnd{};
    std::vector<std::string> lines;
    std::atomic<bool> over = false;
    std::thread job([&] {
        ToolRun run;
        run.spec =
            shell("echo one >&2; printf '50%%\\r' >&2; echo 'x: error: no room' >&2; exit 1");
        run.on_line = [&](std::string_view line) { lines.emplace_back(line); };
        end = run_tool(supervisor, std::move(run), stop);
        over = true;
    });
    EXPECT_TRUE(wait_until([&] { return over.load(); }));
    job.join();
    ASSERT_TRUE(end);
    EXPECT_FALSE(end->good);
    EXPECT_EQ(last_words(*end), "no room");
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "50%", "x: error: no room"}));
}

TEST_F(Processes, GivenATool_WhenItIsStopped_ThenItEndsAndSaysCancelled) {
    std::atomic<bool> stop = false, over = false;
    Result<ToolEnd> end = ToolEnd{};
    std::thread job([&] {
        ToolRun run;
        run.spec = shell("sleep 60");
        end = run_tool(supervisor, std::move(run), stop);
        over = true;
    });
    wait_until([&] { return !supervisor.alive(Supervisor::Whom::All, false).empty(); });
    stop = true;
    EXPECT_TRUE(wait_until([&] { return over.load(); }));
    job.join();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().kind, ErrorKind::Cancelled);
}

}  // namespace
}  // namespace matriarch::agent
