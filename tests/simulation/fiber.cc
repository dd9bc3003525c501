#include "fiber.h"

#include <utility>
#include <vector>

namespace matriarch::sim {
namespace {

constexpr std::size_t kStack = 256 << 10;

Fiber* running = nullptr;
std::vector<std::unique_ptr<char[]>> spare_stacks;  // a page fault costs more than a run's step

std::unique_ptr<char[]> take_stack() {
    if (spare_stacks.empty()) return std::unique_ptr<char[]>(new char[kStack]);
    auto out = std::move(spare_stacks.back());
    spare_stacks.pop_back();
    return out;
}

}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), stack_(take_stack()) {
    getcontext(&begin_);
    begin_.uc_stack.ss_sp = stack_.get();
    begin_.uc_stack.ss_size = kStack;
    begin_.uc_link = nullptr;
    makecontext(&begin_, &Fiber::enter, 0);
}

Fiber::~Fiber() {
    kill();
    spare_stacks.push_back(std::move(stack_));
}

Fiber* Fiber::current() {
    return running;
}

void Fiber::enter() {
    Fiber* self = running;
    try {
        self->body_();
    } catch (const Killed&) {
    }
    self->ended_ = true;
    _longjmp(self->back_, 1);  // an ended fiber is never resumed
}

void Fiber::resume() {
    if (ended_ || (killed_ && !started_)) return;
    Fiber* const former = running;
    running = this;
    if (_setjmp(back_) == 0) {
        if (std::exchange(started_, true)) _longjmp(here_, 1);
        setcontext(&begin_);
    }
    running = former;
}

void Fiber::park() {
    if (_setjmp(here_) == 0) _longjmp(back_, 1);
    if (killed_) throw Killed{};
}

void Fiber::kill() {
    if (killed_ || ended_) return;
    killed_ = true;
    if (started_) resume();
}

}  // namespace matriarch::sim
