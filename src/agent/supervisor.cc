#include "agent/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "agent/files.h"

namespace matriarch::agent {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

// Only async-signal-safe calls: other threads may hold any lock at the time of fork.
[[noreturn]] void become(const SpawnSpec& spec, char* const* argv, char* const* env, int report) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_DFL);
    if (spec.session) setsid();
    if (spec.out >= 0) dup2(spec.out, STDOUT_FILENO);
    if (spec.err >= 0) dup2(spec.err, STDERR_FILENO);
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    if (spec.keep >= 0) fcntl(spec.keep, F_SETFD, 0);
    if (!spec.cwd.empty() && chdir(spec.cwd.c_str()) != 0) {
    }
    execve(argv[0], argv, env);
    const int error = errno;
    [[maybe_unused]] const auto put = write(report, &error, sizeof error);
    _exit(127);
}

struct ProcessInfo {
    pid_t parent = 0;
    char state = '?';
};

// The two fields behind the command's name, which may itself hold spaces and brackets.
std::optional<ProcessInfo> process_info(pid_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/stat");
    if (!text) return {};
    const auto close = text->rfind(')');
    if (close == std::string::npos || close + 4 > text->size()) return {};
    ProcessInfo out;
    out.state = (*text)[close + 2];
    const char* begin = text->data() + close + 4;
    std::from_chars(begin, text->data() + text->size(), out.parent);
    return out;
}

std::vector<pid_t> all_processes() {
    std::vector<pid_t> out;
    DIR* dir = opendir("/proc");
    if (dir == nullptr) return out;
    while (const dirent* entry = readdir(dir)) {
        pid_t pid = 0;
        const std::string_view name = entry->d_name;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error == std::errc() && end == name.data() + name.size()) out.push_back(pid);
    }
    closedir(dir);
    return out;
}

// SIGKILL was sent and has not ended it yet: it is in the kernel and never comes back.
bool killed_in_kernel(pid_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/status");
    if (!text || text->find("\nState:\tD") == std::string::npos) return false;
    for (const char* field : {"\nSigPnd:\t", "\nShdPnd:\t"}) {
        const auto at = text->find(field);
        if (at == std::string::npos) continue;
        std::uint64_t mask = 0;
        const char* begin = text->data() + at + strlen(field);
        std::from_chars(begin, begin + 16, mask, 16);
        if (mask & (std::uint64_t{1} << (SIGKILL - 1))) return true;
    }
    return false;
}

bool has_open(pid_t pid, const struct stat& file) {
    const std::string base = "/proc/" + std::to_string(pid) + "/fd";
    DIR* dir = opendir(base.c_str());
    if (dir == nullptr) return false;
    bool found = false;
    while (const dirent* entry = readdir(dir)) {
        struct stat st {};
        if (stat((base + "/" + entry->d_name).c_str(), &st) != 0) continue;
        if (st.st_ino == file.st_ino && st.st_dev == file.st_dev) found = true;
    }
    closedir(dir);
    return found;
}

}  // namespace

bool is_stopped(pid_t pid) {
    const auto info = process_info(pid);
    return info && (info->state == 'T' || info->state == 't');
}

Supervisor::Supervisor(std::string lock_path) : lock_path_(std::move(lock_path)) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Result<pid_t> Supervisor::spawn(const SpawnSpec& spec, OnExit on_exit) {
    const auto argv = pointers(spec.argv), env = pointers(spec.env);
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return make_error(ErrorKind::Unavailable, "no pipe", strerror(errno));
    pid_t pid = 0;
    {
        // The child may end before its callback is known; reap() waits for this lock.
        const std::lock_guard lock(mutex_);
        pid = fork();
        if (pid == 0) become(spec, argv.data(), env.data(), report[1]);
        if (pid > 0) children_[pid] = std::move(on_exit);
        if (pid > 0 && spec.helper) helpers_.insert(pid);
    }
    const int fork_error = errno;
    close(report[1]);
    int error = 0;
    const bool failed = pid > 0 && read(report[0], &error, sizeof error) == sizeof error;
    close(report[0]);
    if (pid < 0) return make_error(ErrorKind::Unavailable, "cannot fork", strerror(fork_error));
    if (!failed) return pid;
    const std::lock_guard lock(mutex_);
    children_.erase(pid);
    helpers_.erase(pid);
    return make_error(ErrorKind::Unavailable, "cannot run " + spec.argv.front(), strerror(error));
}

void Supervisor::spare(pid_t pid, OnExit on_exit) {
    spared_.insert(pid);
    const std::lock_guard lock(mutex_);
    children_[pid] = std::move(on_exit);
}

void Supervisor::reap() {
    while (true) {
        int status = 0;
        OnExit call;
        {
            const std::lock_guard lock(mutex_);
            const pid_t pid = waitpid(-1, &status, WNOHANG);
            if (pid <= 0) return;
            helpers_.erase(pid);
            spared_.erase(pid);
            const auto found = children_.find(pid);
            if (found == children_.end()) continue;  // an orphan
            call = std::move(found->second);
            children_.erase(found);
        }
        if (call) call(status);
    }
}

std::vector<pid_t> Supervisor::alive(Whom whom, bool earlier) const {
    const pid_t self = getpid();
    // Asked before and after the look at /proc: one may begin or end meanwhile.
    std::set<pid_t> helpers;
    const auto note_helpers = [&] {
        if (whom == Whom::All) return;
        const std::lock_guard lock(mutex_);
        helpers.insert(helpers_.begin(), helpers_.end());
    };
    note_helpers();
    std::map<pid_t, ProcessInfo> all;
    for (const pid_t pid : all_processes())
        if (const auto info = process_info(pid)) all[pid] = *info;
    note_helpers();
    struct stat lock {};
    const bool by_lock =
        earlier && self != 1 && !lock_path_.empty() && stat(lock_path_.c_str(), &lock) == 0;

    std::vector<pid_t> out;
    for (const auto& [pid, info] : all) {
        // Zombies hold nothing and do nothing.
        if (pid == self || spared_.contains(pid) || info.state == 'Z' || info.state == 'X')
            continue;
        bool ours = self == 1, helping = helpers.contains(pid);
        for (pid_t up = info.parent; up > 0;) {
            ours = ours || up == self;
            helping = helping || helpers.contains(up);
            const auto parent = all.find(up);
            if (up == self || parent == all.end()) break;
            up = parent->second.parent;
        }
        if (helping) continue;
        if (!ours && by_lock) ours = has_open(pid, lock);
        if (ours && !killed_in_kernel(pid)) out.push_back(pid);
    }
    return out;
}

std::size_t Supervisor::kill_all(bool earlier) {
    const auto pids = alive(Whom::All, earlier);
    for (const pid_t pid : pids) kill(pid, SIGKILL);
    return pids.size();
}

std::string describe_exit(int status) {
    if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "status " + std::to_string(status);
}

}  // namespace matriarch::agent
