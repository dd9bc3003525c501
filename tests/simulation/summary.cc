#include "summary.h"

#include <cstdio>

#include "decide/rules.h"

namespace matriarch::sim {
namespace {

constexpr std::size_t kWidth = 100;

unsigned long long number(std::uint64_t n) {
    return n;
}

// "title: name count, name count, …", wrapped; of the counts whose names begin so.
void print_group(const Total& total, const char* title, const std::string& prefix) {
    std::string line = std::string("  ") + title + ":";
    bool first = true;
    for (auto at = total.counts.lower_bound(prefix);
         at != total.counts.end() && at->first.starts_with(prefix); ++at) {
        const std::string item = at->first.substr(prefix.size()) + " " + std::to_string(at->second);
        if (!first) line += ",";
        if (line.size() + item.size() > kWidth) {
            printf("%s\n", line.c_str());
            line = "   ";
        }
        line += " " + item;
        first = false;
    }
    if (!first) printf("%s\n", line.c_str());
}

void print_rules(const Total& total) {
    std::string never;
    std::size_t seen = 0;
    const auto rules = decide::rule_names();
    for (const auto& rule : rules) {
        if (total.counts.contains("rule: " + std::string(rule)))
            ++seen;
        else
            never += (never.empty() ? "" : ", ") + std::string(rule);
    }
    printf("  rules of decide: %zu of %zu decided%s%s\n", seen, rules.size(),
           never.empty() ? "" : "; never: ", never.c_str());
}

}  // namespace

void print_line(const Total& total, unsigned jobs) {
    const double simulated = std::chrono::duration<double>(total.simulated).count();
    const auto of = [&](const char* name) {
        const auto found = total.counts.find(name);
        return found == total.counts.end() ? 0 : found->second;
    };
    printf(
        "%llu seeds in %.1f s (%.1f a second), %.1f simulated hours (%.0f times the world's pace "
        "in each of %u processes), %llu faults, %llu failovers\n",
        number(total.seeds), total.seconds, static_cast<double>(total.seeds) / total.seconds,
        simulated / 3600, simulated / total.seconds / jobs, jobs, number(of("faults")),
        number(of("failovers")));
    fflush(stdout);
}

void print_broken(const Total& total) {
    std::string stuck;
    for (const auto& [n, options] : total.stuck) stuck += " " + std::to_string(options.seed);
    if (!stuck.empty()) printf("  seeds that %s:%s\n", kNeedsPerson, stuck.c_str());
    for (const auto& [n, broken] : total.broken)
        printf("BROKEN seed %llu: %s: %s\n", number(broken.options.seed), broken.rule.c_str(),
               broken.what.c_str());
}

void print(const Total& total, unsigned jobs) {
    print_line(total, jobs);
    print_group(total, "faults", "fault: ");
    print_rules(total);
    print_group(total, "decided", "rule: ");
    print_group(total, "steps at which an operator could die", "step: ");
    for (const auto& [name, count] : total.counts)
        if (name.find(": ") == std::string::npos)
            printf("  %-36s %llu\n", name.c_str(), number(count));
    print_broken(total);
    printf("%zu of %llu seeds broken, traces %016llx\n", total.broken.size(), number(total.seeds),
           number(total.traces));
    fflush(stdout);
}

}  // namespace matriarch::sim
