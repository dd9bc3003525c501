// FileStateStore: an agent's state as a file on the volume, and beside it while the volume stalls.
//
// A master whose disk stalls is fenced like any other, but its volume takes no word of that. So
// what ends a mandate may be kept in a folder of the pod, which outlives containers and the node's
// restart, and ends with the pod: only that pod can confirm the fence, and another one under its
// name never holds its mandate. Of two copies the one that was saved last counts.
//
// One owner thread; one more does the volume's writes, so that a stalled one holds up nobody for
// longer than told below.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/state.h"
#include "base/clock.h"

namespace matriarch::agent {

class FileStateStore final : public StateStore {
  public:
    // `path` on the volume, `beside` in the pod's folder; both folders exist.
    FileStateStore(std::string path, std::string beside);
    // Waits for a write that is under way.
    ~FileStateStore() override;
    FileStateStore(const FileStateStore&) = delete;
    FileStateStore& operator=(const FileStateStore&) = delete;

    Result<State> load() override;
    // Unavailable after 5 s. What was not saved in time may still come to be.
    Status save(const State& state) override;
    // Beside the volume, if that has not taken it within 200 ms.
    Status save_fence(const State& state) override;

  private:
    void run();
    // The volume's answer; absent if there is none in time.
    std::optional<Status> put(std::string text, Duration patience);

    const std::string path_, beside_;
    std::uint64_t count_ = 0;  // the owner's

    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<std::string> pending_;   // guarded by mutex_, as all below
    std::uint64_t begun_ = 0, ended_ = 0;  // writes
    Status outcome_;                       // of the last that ended
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace matriarch::agent
