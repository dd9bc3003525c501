// Fiber: a call that may stop in the middle and go on later, in the same thread.
//
// The operator's code blocks: in Transport, in Waiter. Here each of its threads is a fiber, and
// blocking means to give the thread back to the world's queue. kill() unwinds it by an exception,
// so that what it holds is released.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <functional>
#include <memory>

namespace matriarch::sim {

class Fiber {
  public:
    struct Killed {};  // thrown by park(); no std::exception, so that nobody takes it for an error

    explicit Fiber(std::function<void()> body);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    static Fiber* current();
    // Runs it until it parks or ends. Not from within a fiber.
    void resume();
    // Only in the running fiber.
    void park();
    void kill();
    bool ended() const { return ended_; }

  private:
    static void enter();

    std::function<void()> body_;
    std::unique_ptr<char[]> stack_;
    // A context only begins: swapcontext() asks the kernel about signals each time.
    ucontext_t begin_{};
    jmp_buf here_{}, back_{};
    bool started_ = false, ended_ = false, killed_ = false;
};

}  // namespace matriarch::sim
