#include "reduce.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace matriarch::sim {
namespace {

class Reduction {
  public:
    Reduction(Options options, std::string rule, Duration patience)
        : best_(std::move(options)),
          rule_(std::move(rule)),
          until_(std::chrono::steady_clock::now() + patience) {}

    Options run() {
        // Later ones had not begun when the rule was broken.
        const auto last_begun = simulate(best_).faults;
        std::vector<std::uint64_t> kept;
        for (std::uint64_t n = 1; n <= last_begun; ++n)
            if (!best_.without.contains(n)) kept.push_back(n);
        for (std::size_t chunk = (kept.size() + 1) / 2; chunk > 0; chunk /= 2)
            for (std::size_t at = 0; at < kept.size();) {
                const auto first = kept.begin() + static_cast<std::ptrdiff_t>(at);
                const auto last =
                    first + static_cast<std::ptrdiff_t>(std::min(chunk, kept.size() - at));
                if (!breaks_without({first, last}))
                    at += chunk;
                else
                    kept.erase(first, last);
            }
        return best_;
    }

  private:
    bool breaks_without(std::set<std::uint64_t> more) {
        if (std::chrono::steady_clock::now() > until_) return false;
        Options tried = best_;
        tried.without.merge(more);
        const auto outcome = simulate(tried);
        if (!outcome.violation || outcome.violation->rule != rule_) return false;
        best_ = std::move(tried);
        return true;
    }

    Options best_;
    const std::string rule_;
    const std::chrono::steady_clock::time_point until_;
};

}  // namespace

Options reduce(Options options, const std::string& rule, Duration patience) {
    return Reduction(std::move(options), rule, patience).run();
}

}  // namespace matriarch::sim
