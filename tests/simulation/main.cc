// simulate: runs seeds and says what broke.
//
//   simulate --seeds 1000 [--from 1] [--profile NAME]   so many; --seconds 120: as many as fit;
//                                                       --minutes 10: long ones
//   simulate --list FILE                                those of a file: a seed a line
//   simulate --forever                                  fresh ones until one breaks
//   simulate --seed 42 [--only 3,5]                  one seed, with its story
//   simulate --mutants            every mutant must be found (in a build with MATRIARCH_MUTANTS)
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <thread>

#include "base/mutant.h"
#include "mutants.h"
#include "reduce.h"
#include "runner.h"
#include "summary.h"

namespace {

using namespace matriarch;
using namespace matriarch::sim;

constexpr Duration kReduceFor = seconds(60);
constexpr std::uint64_t kBlock = 500;  // seeds between two lines of --forever

struct Arguments {
    std::uint64_t seeds = 100;
    std::optional<std::uint64_t> from, seed;
    std::optional<int> seconds;
    int minutes = 0;
    std::optional<Profile> profile;
    std::vector<std::uint64_t> only;
    std::string list, mutant;
    bool mutants = false, forever = false;
    unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
};

// Seeds that nobody ran before.
std::uint64_t fresh_seed() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
               std::chrono::duration_cast<std::chrono::seconds>(now).count()) *
           1000;
}

Request request_of(const Arguments& a, std::uint64_t from) {
    Request out;
    out.seeds = a.seeds;
    out.jobs = a.jobs;
    out.seed = [from, profile = a.profile, minutes = a.minutes](std::uint64_t n) {
        Options options;
        options.seed = from + n;
        options.profile = profile;
        options.minutes = minutes;
        return options;
    };
    if (a.seconds) {
        out.seeds = std::numeric_limits<std::uint64_t>::max();
        out.until = std::chrono::steady_clock::now() + std::chrono::seconds(*a.seconds);
    }
    return out;
}

std::string numbers(const std::set<std::uint64_t>& set) {
    if (set.empty()) return "0";
    std::string out;
    for (const auto n : set) out += (out.empty() ? "" : ",") + std::to_string(n);
    return out;
}

int run_one(Options options) {
    options.story = true;
    const Outcome outcome = simulate(options);
    printf("seed %llu, trace %016llx, %s\n", static_cast<unsigned long long>(options.seed),
           static_cast<unsigned long long>(outcome.trace),
           outcome.violation ? (outcome.violation->rule + ": " + outcome.violation->what).c_str()
                             : "no promise was broken");
    return outcome.violation ? 1 : 0;
}

// The first broken seed again, with as few faults as it takes.
void tell_shortest(const Broken& broken) {
    if (broken.rule == "crash") return;
    const Options shortest = reduce(broken.options, broken.rule, kReduceFor);
    // Nothing could be left out within the time.
    if (!shortest.only) {
        run_one(shortest);
        return;
    }
    printf("\nThe shortest story that breaks the same rule (make simulate SEED=%llu ONLY=%s):\n",
           static_cast<unsigned long long>(shortest.seed), numbers(*shortest.only).c_str());
    run_one(shortest);
}

int run_seeds(const Request& request) {
    const Total total = run_all(request);
    print(total, request.jobs);
    if (total.broken.empty()) return 0;
    tell_shortest(total.broken.begin()->second);
    return 1;
}

int run_forever(Arguments a) {
    a.seeds = kBlock;
    for (std::uint64_t from = a.from.value_or(fresh_seed());; from += kBlock) {
        const Request request = request_of(a, from);
        const Total total = run_all(request);
        print_line(total, request.jobs);
        if (total.broken.empty()) continue;
        print_broken(total);
        tell_shortest(total.broken.begin()->second);
        return 1;
    }
}

// "SEED [PROFILE] [# why]" a line.
int run_list(const Arguments& a) {
    std::ifstream file(a.list);
    std::vector<Options> all;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        Options options;
        std::string profile;
        if (!(words >> options.seed)) continue;
        if (words >> profile) options.profile = profile_of(profile);
        all.push_back(options);
    }
    if (all.empty()) {
        std::cerr << a.list << ": no seed is there\n";
        return 2;
    }
    Request request;
    request.jobs = a.jobs;
    request.seeds = all.size();
    request.seed = [&all](std::uint64_t n) { return all[n]; };
    return run_seeds(request);
}

// Each mutant must break at least one seed, but those that are known as open.
int run_mutants(const Arguments& a) {
    std::size_t missed = 0, found_all = 0, tried = 0;
    for (const auto& mutant : kMutants) {
        if (!a.mutant.empty() && mutant.name != a.mutant) continue;
        ++tried;
        switch_on_mutant(mutant.name);
        Arguments mine = a;
        if (!mine.profile) mine.profile = mutant.profile;
        Request request = request_of(mine, a.from.value_or(1));
        request.mutant = mutant.name;
        const Total total = run_all(request);
        const bool found = !total.broken.empty();
        found_all += found ? 1 : 0;
        missed += found || mutant.open ? 0 : 1;
        printf("%-10s %-34s in %llu seeds",
               found         ? "found"
               : mutant.open ? "open"
                             : "NOT FOUND",
               std::string(mutant.name).c_str(), static_cast<unsigned long long>(total.seeds));
        if (found) {
            const auto& first = total.broken.begin()->second;
            printf(": seed %llu, %s: %s", static_cast<unsigned long long>(first.options.seed),
                   first.rule.c_str(), first.what.c_str());
        }
        printf("\n");
        fflush(stdout);
    }
    printf("%zu of %zu mutants found\n", found_all, tried);
    return missed == 0 ? 0 : 1;
}

// One process runs many worlds, each of which frees all that it had: memory is kept for the next.
void keep_memory() {
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 16 << 20);
}

}  // namespace

int main(int argc, char** argv) {
    keep_memory();
    CLI::App app("Deterministic simulation of Matriarch");
    Arguments a;
    std::string profile;
    bool fresh = false;
    app.add_option("--seeds", a.seeds, "How many");
    app.add_option("--seconds", a.seconds, "As many as fit into so much time");
    app.add_option("--from", a.from, "The first");
    app.add_option("--minutes", a.minutes, "Faults until the world is so old; 0: the seed says")
        ->check(CLI::Range(0, 600));
    app.add_flag("--fresh", fresh, "The first is one that nobody ran before");
    app.add_flag("--forever", a.forever, "Fresh ones until one breaks");
    app.add_option("--list", a.list, "Those of a file");
    app.add_option("--seed", a.seed, "One seed, with its story");
    app.add_option("--only", a.only, "Only these faults happen, by number; 0: none")
        ->delimiter(',');
    app.add_option("--profile", profile, profile_names() + "; else the seed's own");
    app.add_option("--jobs", a.jobs, "Processes");
    app.add_flag("--mutants", a.mutants, "Every mutant must be found");
    app.add_option("--mutant", a.mutant, "Switches one on");
    CLI11_PARSE(app, argc, argv);
    a.jobs = std::max(1u, a.jobs);
    if (!profile.empty() && !(a.profile = profile_of(profile))) {
        std::cerr << "no such profile: " << profile << "\n";
        return 2;
    }
    if ((a.mutants || !a.mutant.empty()) && !kMutantsBuilt) {
        std::cerr << "this build has no mutants: configure with -DMATRIARCH_MUTANTS=ON\n";
        return 2;
    }
    if (a.mutants) return run_mutants(a);
    switch_on_mutant(a.mutant);
    if (a.seed) {
        Options one{*a.seed, a.profile, {}, true, a.minutes};
        if (!a.only.empty()) one.only.emplace(a.only.begin(), a.only.end());
        return run_one(std::move(one));
    }
    if (!a.list.empty()) return run_list(a);
    if (a.forever) return run_forever(a);
    if (fresh && !a.from) {
        a.from = fresh_seed();
        printf("fresh seeds from %llu\n", static_cast<unsigned long long>(*a.from));
        fflush(stdout);
    }
    return run_seeds(request_of(a, a.from.value_or(1)));
}
