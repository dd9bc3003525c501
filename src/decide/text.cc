#include "decide/text.h"

namespace matriarch::decide {

std::string join(const std::vector<std::string>& parts, std::string_view between) {
    std::string out;
    for (const auto& part : parts) {
        if (!out.empty()) out += between;
        out += part;
    }
    return out;
}

std::string join(const std::vector<InstanceName>& names) {
    std::vector<std::string> parts;
    for (const auto& name : names) parts.push_back(name.value);
    return join(parts, ", ");
}

}  // namespace matriarch::decide
