#include "agent/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>

namespace matriarch::agent {
namespace {

constexpr std::size_t kKeep = 16384;
constexpr int kLookForStopMs = 100;

struct Ending {
    std::mutex mutex;
    std::condition_variable changed;
    bool ended = false;
    int status = 0;
};

}  // namespace

Result<ToolEnd> run_tool(Supervisor& supervisor, ToolRun run, const std::atomic<bool>& stop) {
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return make_error(ErrorKind::Unavailable, "no pipe", strerror(errno));
    run.spec.err = pipe_fds[1];
    run.spec.out = pipe_fds[1];
    run.spec.helper = true;
    run.spec.session = true;
    auto ending = std::make_shared<Ending>();
    const auto pid = supervisor.spawn(run.spec, [ending](int status) {
        const std::lock_guard lock(ending->mutex);
        ending->ended = true;
        ending->status = status;
        ending->changed.notify_all();
    });
    close(pipe_fds[1]);
    if (!pid) {
        close(pipe_fds[0]);
        return pid.error();
    }
    ToolEnd out;
    std::string line;
    bool killed = false;
    while (true) {
        if (stop && !killed) {
            killed = true;
            kill(*pid, SIGTERM);  // they clean up what they made
        }
        pollfd p{pipe_fds[0], POLLIN, 0};
        const int ready = poll(&p, 1, kLookForStopMs);
        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            // Something it started may hold the pipe open; the program itself is what counts.
            const std::lock_guard lock(ending->mutex);
            if (ending->ended) break;
            continue;
        }
        char buffer[4096];
        const auto got = read(pipe_fds[0], buffer, sizeof buffer);
        if (got <= 0) break;
        out.said.append(buffer, static_cast<std::size_t>(got));
        if (out.said.size() > 2 * kKeep) out.said.erase(0, out.said.size() - kKeep);
        for (ssize_t i = 0; i < got; ++i) {
            if (buffer[i] != '\n' && buffer[i] != '\r') {
                line += buffer[i];
                continue;
            }
            if (!line.empty() && run.on_line) run.on_line(line);
            line.clear();
        }
    }
    close(pipe_fds[0]);
    std::unique_lock lock(ending->mutex);
    while (!ending->ended) {
        if (stop && !killed) {
            killed = true;
            kill(*pid, SIGKILL);
        }
        ending->changed.wait_for(lock, milliseconds(kLookForStopMs));
    }
    if (stop) return make_error(ErrorKind::Cancelled, run.spec.argv.front() + " was stopped");
    out.good = ending->status == 0;
    out.how = describe_exit(ending->status);
    return out;
}

std::string last_words(const ToolEnd& end) {
    std::string_view said = end.said;
    while (!said.empty()) {
        const auto newline = said.find_last_of("\n\r");
        std::string_view line = newline == std::string_view::npos ? said : said.substr(newline + 1);
        said = newline == std::string_view::npos ? "" : said.substr(0, newline);
        for (const std::string_view mark : {"error: ", "fatal: ", "FATAL:  ", "detail: "}) {
            const auto at = line.find(mark);
            if (at != std::string_view::npos) return std::string(line.substr(at + mark.size()));
        }
    }
    return end.how;
}

}  // namespace matriarch::agent
