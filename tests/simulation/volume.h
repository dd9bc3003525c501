// Volume: what outlives a container: the data directory, the agent's state, a flush hint.
//
// The agent's state is durable when save() returns. The data directory's WAL is written at once
// (it outlives processes) and synced after a moment, or once the disk goes on (it then outlives the
// machine).
#pragma once

#include <optional>

#include "agent/state.h"
#include "wal.h"
#include "world.h"

namespace matriarch::sim {

struct Volume {
    DataDirectory data;
    std::optional<agent::State> state;
    Lsn flush_hint;
    std::optional<TimePoint> stalled_since;  // of the world
};

class VolumeState final : public agent::StateStore {
  public:
    explicit VolumeState(Volume& volume) : volume_(volume) {}
    Result<agent::State> load() override { return volume_.state.value_or(agent::State()); }
    Status save(const agent::State& state) override {
        volume_.state = state;
        return {};
    }
    Status save_fence(const agent::State& state) override { return save(state); }

  private:
    Volume& volume_;
};

}  // namespace matriarch::sim
