// simulate: runs seeds and says what broke.
//
//   simulate --seeds 1000 [--from 1] [--profile all|postgres|network|operator]
//   simulate --seed 42            one seed, with its story
//   simulate --mutants            every mutant must be found (only in a build with
//   MATRIARCH_MUTANTS)
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "base/mutant.h"
#include "mutants.h"
#include "simulation.h"

namespace {

using namespace matriarch;
using namespace matriarch::sim;

struct Request {
    std::uint64_t seeds = 100, from = 1;
    std::optional<Profile> profile;
    unsigned jobs = 1;
    std::string_view mutant;  // switched on; seeds that break without it as well don't count
};

struct Total {
    std::uint64_t seeds = 0;
    Duration simulated{};
    std::map<std::string, std::uint64_t> counts;
    std::map<std::uint64_t, std::string> broken;  // seed -> what
};

// One line for each seed: "seed trace ended_ns rule|what|name=count|...".
std::string encode(const Outcome& o) {
    const auto clean = [](std::string text) {
        for (char& c : text)
            if (c == '\n' || c == '|') c = ' ';
        return text;
    };
    std::string out = std::to_string(o.seed) + "|" +
                      std::to_string(o.ended.time_since_epoch().count()) + "|" +
                      (o.violation ? clean(o.violation->rule + ": " + o.violation->what) : "");
    for (const auto& [name, count] : o.counts)
        out += "|" + clean(name) + "=" + std::to_string(count);
    return out + "\n";
}

void absorb(Total& total, const std::string& line) {
    std::vector<std::string> parts;
    std::stringstream in(line);
    for (std::string part; std::getline(in, part, '|');) parts.push_back(part);
    if (parts.size() < 3) return;
    ++total.seeds;
    total.simulated += Duration(std::stoll(parts[1]));
    if (!parts[2].empty()) total.broken[std::stoull(parts[0])] = parts[2];
    for (std::size_t i = 3; i < parts.size(); ++i) {
        const auto equals = parts[i].rfind('=');
        total.counts[parts[i].substr(0, equals)] += std::stoull(parts[i].substr(equals + 1));
    }
}

[[noreturn]] void work(const Request& request, unsigned worker, int out) {
    for (auto n = worker; n < request.seeds; n += request.jobs) {
        Options options;
        options.seed = request.from + n;
        options.profile = request.profile;
        // First, so that a crash can be laid at the seed's door.
        const std::string begins = "begin|" + std::to_string(options.seed) + "\n";
        if (write(out, begins.data(), begins.size()) < 0) _exit(1);
        Outcome outcome = simulate(options);
        if (outcome.violation && !request.mutant.empty()) {
            switch_on_mutant("");
            if (simulate(options).violation) outcome.violation.reset();
            switch_on_mutant(request.mutant);
        }
        const std::string line = encode(outcome);
        if (write(out, line.data(), line.size()) < 0) _exit(1);
        if (outcome.violation && !request.mutant.empty()) break;
    }
    _exit(0);
}

// Reads a worker's lines until it ends.
void collect(int in, Total& total) {
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
            absorb(total, line);
        }
    }
    free(buffer);
    fclose(file);
    if (!begun.empty()) total.broken[std::stoull(begun)] = "the run crashed";
}

Total run_all(const Request& request) {
    std::vector<int> pipes;
    std::vector<pid_t> workers;
    for (unsigned worker = 0; worker < request.jobs; ++worker) {
        int ends[2];
        if (pipe(ends) != 0) std::abort();
        const pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            work(request, worker, ends[1]);
        }
        close(ends[1]);
        pipes.push_back(ends[0]);
        workers.push_back(pid);
    }
    std::vector<Total> parts(request.jobs);
    std::vector<std::jthread> readers;
    for (unsigned i = 0; i < request.jobs; ++i)
        readers.emplace_back([&, i] { collect(pipes[i], parts[i]); });
    readers.clear();
    for (const pid_t worker : workers) waitpid(worker, nullptr, 0);
    Total total;
    for (const auto& part : parts) {
        total.seeds += part.seeds;
        total.simulated += part.simulated;
        for (const auto& [name, count] : part.counts) total.counts[name] += count;
        total.broken.insert(part.broken.begin(), part.broken.end());
    }
    return total;
}

void print(const Total& total, double took) {
    const double hours = std::chrono::duration<double>(total.simulated).count() / 3600;
    printf("%llu seeds in %.1f s (%.1f a second), %.1f simulated hours\n",
           static_cast<unsigned long long>(total.seeds), took,
           static_cast<double>(total.seeds) / took, hours);
    for (const auto& [name, count] : total.counts)
        printf("  %-36s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    for (const auto& [seed, what] : total.broken)
        printf("BROKEN seed %llu: %s\n", static_cast<unsigned long long>(seed), what.c_str());
    printf("%zu of %llu seeds broken\n", total.broken.size(),
           static_cast<unsigned long long>(total.seeds));
}

int run_seeds(const Request& request) {
    const auto began = std::chrono::steady_clock::now();
    const Total total = run_all(request);
    print(total, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    return total.broken.empty() ? 0 : 1;
}

int run_one(std::uint64_t seed, const std::optional<Profile>& profile) {
    const Outcome outcome = simulate({seed, profile, true});
    printf("seed %llu, trace %016llx, %s\n", static_cast<unsigned long long>(seed),
           static_cast<unsigned long long>(outcome.trace),
           outcome.violation ? (outcome.violation->rule + ": " + outcome.violation->what).c_str()
                             : "no promise was broken");
    return outcome.violation ? 1 : 0;
}

// Each mutant must break at least one seed.
int run_mutants(Request request, const std::string& only) {
    int unfound = 0;
    for (const auto& mutant : kMutants) {
        if (!only.empty() && mutant.name != only) continue;
        switch_on_mutant(mutant.name);
        request.mutant = mutant.name;
        request.profile = mutant.profile;
        const Total total = run_all(request);
        const bool found = !total.broken.empty();
        unfound += found ? 0 : 1;
        printf("%-10s %-34s in %llu seeds", found ? "found" : "NOT FOUND",
               std::string(mutant.name).c_str(), static_cast<unsigned long long>(total.seeds));
        if (found)
            printf(": seed %llu, %s", static_cast<unsigned long long>(total.broken.begin()->first),
                   total.broken.begin()->second.c_str());
        printf("\n");
        fflush(stdout);
    }
    return unfound == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Deterministic simulation of Matriarch");
    Request request;
    request.jobs = std::max(1u, std::thread::hardware_concurrency());
    std::optional<std::uint64_t> seed;
    std::string profile, mutant;
    bool mutants = false;
    app.add_option("--seeds", request.seeds, "How many");
    app.add_option("--from", request.from, "The first");
    app.add_option("--seed", seed, "One seed, with its story");
    app.add_option("--profile", profile, "all, postgres, network, operator; else the seed's own");
    app.add_option("--jobs", request.jobs, "Processes");
    app.add_flag("--mutants", mutants, "Every mutant must be found");
    app.add_option("--mutant", mutant, "Switches one on");
    CLI11_PARSE(app, argc, argv);
    request.jobs = std::max(1u, request.jobs);
    if (!profile.empty()) {
        request.profile = profile_of(profile);
        if (!request.profile) {
            std::cerr << "no such profile: " << profile << "\n";
            return 2;
        }
    }
    if ((mutants || !mutant.empty()) && !kMutantsBuilt) {
        std::cerr << "this build has no mutants: configure with -DMATRIARCH_MUTANTS=ON\n";
        return 2;
    }
    if (mutants) return run_mutants(request, mutant);
    switch_on_mutant(mutant);
    return seed ? run_one(*seed, request.profile) : run_seeds(request);
}
