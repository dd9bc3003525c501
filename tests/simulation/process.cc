#include "process.h"

namespace matriarch::sim {

void Process::post(Call call) {
    if (!alive_) return;
    if (frozen_)
        waiting_.push_back(std::move(call));
    else
        call();
}

void Process::at(TimePoint when, Call call) {
    world_.at(when, std::move(call), shared_from_this());
}

void Process::thaw() {
    const auto self = shared_from_this();
    frozen_ = false;
    while (runs() && !waiting_.empty()) {
        Call call = std::move(waiting_.front());
        waiting_.pop_front();
        call();
    }
}

void Process::kill() {
    alive_ = false;
    waiting_.clear();
}

}  // namespace matriarch::sim
