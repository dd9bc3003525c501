#include "runner.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "base/mutant.h"

#ifdef MATRIARCH_COVERAGE
extern "C" void __gcov_dump();  // which _exit() skips
#endif

namespace matriarch::sim {
namespace {

using SteadyClock = std::chrono::steady_clock;

// One line for each run: "n|ended_ns|trace|rule|what|name=count|...".
std::string encode(std::uint64_t n, const Outcome& o) {
    const auto clean = [](std::string text) {
        for (char& c : text)
            if (c == '\n' || c == '|') c = ' ';
        return text;
    };
    std::string out =
        std::to_string(n) + "|" + std::to_string(o.ended.time_since_epoch().count()) + "|" +
        std::to_string(o.trace) + "|" +
        (o.violation ? clean(o.violation->rule) + "|" + clean(o.violation->what) : "|");
    for (const auto& [name, count] : o.counts)
        out += "|" + clean(name) + "=" + std::to_string(count);
    return out + "\n";
}

void absorb(Total& total, const Request& request, const std::string& line) {
    std::vector<std::string> parts;
    std::stringstream in(line);
    for (std::string part; std::getline(in, part, '|');) parts.push_back(part);
    if (parts.size() < 5) return;
    ++total.seeds;
    total.simulated += Duration(std::stoll(parts[1]));
    const auto n = std::stoull(parts[0]);
    total.traces += SeededRandom(n + std::stoull(parts[2])).next();
    if (!parts[3].empty()) total.broken[n] = {request.seed(n), parts[3], parts[4]};
    for (std::size_t i = 5; i < parts.size(); ++i) {
        const auto equals = parts[i].rfind('=');
        const auto name = parts[i].substr(0, equals);
        total.counts[name] += std::stoull(parts[i].substr(equals + 1));
        if (name == kNeedsPerson) total.stuck[n] = request.seed(n);
    }
}

// `found` is shared by all workers.
[[noreturn]] void work(const Request& request, unsigned worker, int out, std::atomic<bool>& found) {
    for (std::uint64_t n = worker; n < request.seeds && !found; n += request.jobs) {
        if (request.until && SteadyClock::now() >= *request.until) break;
        // First, so that a crash can be laid at the seed's door.
        const std::string begins = "begin|" + std::to_string(n) + "\n";
        if (write(out, begins.data(), begins.size()) < 0) _exit(1);
        const Options options = request.seed(n);
        Outcome outcome = simulate(options);
        if (outcome.violation && !request.mutant.empty()) {
            switch_on_mutant("");
            if (simulate(options).violation) outcome.violation.reset();
            switch_on_mutant(request.mutant);
        }
        const std::string line = encode(n, outcome);
        if (write(out, line.data(), line.size()) < 0) _exit(1);
        if (outcome.violation && !request.mutant.empty()) found = true;
    }
#ifdef MATRIARCH_COVERAGE
    __gcov_dump();
#endif
    _exit(0);
}

// Reads a worker's lines until it ends.
void collect(int in, const Request& request, Total& total) {
    std::string begun, line;
    FILE* file = fdopen(in, "r");
    char* buffer = nullptr;
    std::size_t size = 0;
    while (getline(&buffer, &size, file) > 0) {
        line = buffer;
        line.pop_back();
        if (line.starts_with("begin|")) {
            begun = line.substr(6);
        } else {
            begun.clear();
            absorb(total, request, line);
        }
    }
    free(buffer);
    fclose(file);
    if (begun.empty()) return;
    const auto n = std::stoull(begun);
    total.broken[n] = {request.seed(n), "crash", "the run crashed"};
}

void add(Total& total, const Total& part) {
    total.seeds += part.seeds;
    total.simulated += part.simulated;
    total.traces += part.traces;
    for (const auto& [name, count] : part.counts) total.counts[name] += count;
    total.broken.insert(part.broken.begin(), part.broken.end());
    total.stuck.insert(part.stuck.begin(), part.stuck.end());
}

}  // namespace

Total run_all(const Request& request) {
    const auto began = SteadyClock::now();
    // A mutant that one has found need not be looked for by the others.
    void* shared = mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) std::abort();
    auto* found = new (shared) std::atomic<bool>(false);
    std::vector<int> pipes;
    std::vector<pid_t> workers;
    for (unsigned worker = 0; worker < request.jobs; ++worker) {
        int ends[2];
        if (pipe(ends) != 0) std::abort();
        const pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            work(request, worker, ends[1], *found);
        }
        close(ends[1]);
        pipes.push_back(ends[0]);
        workers.push_back(pid);
    }
    std::vector<Total> parts(request.jobs);
    std::vector<std::jthread> readers;
    for (unsigned i = 0; i < request.jobs; ++i)
        readers.emplace_back([&, i] { collect(pipes[i], request, parts[i]); });
    readers.clear();
    for (const pid_t worker : workers) waitpid(worker, nullptr, 0);
    munmap(shared, sizeof(std::atomic<bool>));
    Total total;
    for (const auto& part : parts) add(total, part);
    total.seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
    return total;
}

}  // namespace matriarch::sim
