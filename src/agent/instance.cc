#include "agent/instance.h"

namespace matriarch::agent {

std::string_view name_of(const Job& job) {
    static constexpr std::string_view kNames[] = {"inspecting the data directory",
                                                  "initdb",
                                                  "asking the upstream",
                                                  "pg_basebackup",
                                                  "pg_rewind",
                                                  "fetching WAL",
                                                  "checking the configuration",
                                                  "making roles and database",
                                                  "keeping slots",
                                                  "checkpoint",
                                                  "measuring the volume"};
    static_assert(std::size(kNames) == std::variant_size_v<Job>);
    return kNames[job.index()];
}

}  // namespace matriarch::agent
