// Journal: what happens, as JSON lines on standard output, each with the wall time.
//
// Lines appear at once, also through a pipe: people and tests follow them. One thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"

namespace matriarch::cli {

class Journal {
  public:
    explicit Journal(const Clock& clock) : clock_(clock) {}

    // {"event": event, "time": now, ...fields}; `fields` is an object.
    void note(const std::string& event, const nlohmann::json& fields);

  private:
    const Clock& clock_;
};

}  // namespace matriarch::cli
