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
        for (std::uint64_t n = 1; n <= last_begun; ++n)
            if (!best_.only || best_.only->contains(n)) kept_.push_back(n);
        for (std::size_t chunk = (kept_.size() + 1) / 2; chunk > 0; chunk /= 2)
            for (std::size_t at = 0; at < kept_.size();)
                if (!breaks_without(at, std::min(chunk, kept_.size() - at))) at += chunk;
        return best_;
    }

  private:
    bool breaks_without(std::size_t first, std::size_t count) {
        if (std::chrono::steady_clock::now() > until_) return false;
        auto fewer = kept_;
        const auto from = fewer.begin() + static_cast<std::ptrdiff_t>(first);
        fewer.erase(from, from + static_cast<std::ptrdiff_t>(count));
        Options tried = best_;
        tried.only = std::set<std::uint64_t>(fewer.begin(), fewer.end());
        const auto outcome = simulate(tried);
        if (!outcome.violation || outcome.violation->rule != rule_) return false;
        best_ = std::move(tried);
        kept_ = std::move(fewer);
        return true;
    }

    std::vector<std::uint64_t> kept_;
    Options best_;
    const std::string rule_;
    const std::chrono::steady_clock::time_point until_;
};

}  // namespace

Options reduce(Options options, const std::string& rule, Duration patience) {
    return Reduction(std::move(options), rule, patience).run();
}

}  // namespace matriarch::sim
