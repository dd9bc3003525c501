#include "cli/journal.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace matriarch::cli {

void Journal::note(const std::string& event, const nlohmann::json& fields) {
    nlohmann::ordered_json line;
    line["event"] = event;
    line["time"] = format_rfc3339(clock_.wall());
    for (const auto& [key, value] : fields.items()) line[key] = value;
    // Messages of a server may be in any encoding.
    const auto replace = nlohmann::ordered_json::error_handler_t::replace;
    std::puts(line.dump(-1, ' ', false, replace).c_str());
    std::fflush(stdout);
}

}  // namespace matriarch::cli
