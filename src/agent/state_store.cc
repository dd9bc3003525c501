#include "agent/state_store.h"

#include "agent/files.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

// A busy disk syncs a small file within a second or two; callers answer nobody meanwhile.
constexpr Duration kPatience = seconds(5);
// The budget for a master whose disk stalls is 3 s; a fast disk takes a few milliseconds.
constexpr Duration kFencePatience = milliseconds(200);

// Nothing there: nothing was ever saved.
Result<StoredState> read_copy(const std::string& path) {
    auto text = read_file(path);
    if (text) return decode_state(*text);
    if (text.error().kind == ErrorKind::NotFound) return StoredState{};
    return text.error();
}

}  // namespace

FileStateStore::FileStateStore(std::string path, std::string beside)
    : path_(std::move(path)), beside_(std::move(beside)), thread_([this] { run(); }) {}

FileStateStore::~FileStateStore() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

Result<State> FileStateStore::load() {
    auto volume = read_copy(path_);
    if (!volume) return volume.error();
    auto beside = read_copy(beside_);
    if (!beside) return beside.error();
    StoredState& newer = beside->count > volume->count ? *beside : *volume;
    count_ = newer.count;
    return std::move(newer.state);
}

Status FileStateStore::save(const State& state) {
    if (auto outcome = put(encode_state({state, ++count_}), kPatience)) return *outcome;
    return make_error(ErrorKind::Unavailable, "the volume takes no write", path_);
}

Status FileStateStore::save_fence(const State& state) {
    const std::string text = encode_state({state, ++count_});
    if (const auto outcome = put(text, kFencePatience); outcome && outcome->ok()) return {};
    telemetry::log::warn("the volume takes no write, the fence is stored beside it",
                         {{"path", beside_}});
    return write_file(beside_, text, Durable::Yes, 0600);
}

std::optional<Status> FileStateStore::put(std::string text, Duration patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, until, [this] { return begun_ == ended_; })) return {};
    pending_ = std::move(text);
    const std::uint64_t mine = ++begun_;
    changed_.notify_all();
    if (!changed_.wait_until(lock, until, [&] { return ended_ >= mine; })) return {};
    return outcome_;
}

void FileStateStore::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || pending_; });
        if (!pending_) return;
        const std::string text = std::move(*pending_);
        pending_.reset();
        lock.unlock();
        Status done = write_file(path_, text, Durable::Yes, 0600);
        lock.lock();
        outcome_ = std::move(done);
        ended_ = begun_;
        changed_.notify_all();
    }
}

}  // namespace matriarch::agent
