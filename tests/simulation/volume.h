// Volume: what outlives a container: the data directory, the agent's state, a flush hint.
//
// The agent's state is durable when save() returns. The data directory's WAL is written at once
// (it outlives processes) and synced after a moment, or once the disk goes on (it then outlives the
// machine).
#pragma once

#include <functional>
#include <optional>

#include "agent/state.h"
#include "wal.h"
#include "world.h"

namespace matriarch::sim {

struct Volume {
    DataDirectory data;
    std::optional<agent::State> state;
    // What only the folder of this pod knows, since the volume was full.
    std::optional<std::pair<PodUid, agent::State>> beside;
    Lsn flush_hint;
    std::optional<TimePoint> stalled_since;  // of the world
    bool full = false;                       // nothing can be written ...
    bool wal_has_room = false;               // ... but rows that need no block, for a while
};

class VolumeState final : public agent::StateStore {
  public:
    using OnSave = std::function<void(const agent::State& before, const agent::State& next)>;
    VolumeState(Volume& volume, PodUid pod, OnSave on_save)
        : volume_(volume), pod_(std::move(pod)), on_save_(std::move(on_save)) {}
    Result<agent::State> load() override {
        const auto& beside = volume_.beside;
        if (beside && beside->first == pod_) return beside->second;
        return volume_.state.value_or(agent::State());
    }
    Status save(const agent::State& state) override {
        if (volume_.full) return make_error(ErrorKind::Unavailable, "no space left on device");
        on_save_(*load(), state);
        // Some as their file would keep them.
        if (++saves_ % kTryFile == 0) {
            auto kept = agent::decode_state(agent::encode_state({state, 0}));
            if (!kept) return kept.error();
            volume_.state = std::move(kept->state);
        } else {
            volume_.state = state;
        }
        volume_.beside.reset();
        return {};
    }
    Status save_fence(const agent::State& state) override {
        if (save(state)) return {};
        on_save_(*load(), state);
        volume_.beside = {pod_, state};
        return {};
    }

  private:
    static constexpr std::uint64_t kTryFile = 20;

    Volume& volume_;
    const PodUid pod_;
    const OnSave on_save_;
    std::uint64_t saves_ = 0;
};

}  // namespace matriarch::sim
