// Randomness as an interface: production reads the kernel, a simulation reads its seed.
#pragma once

#include <cstdint>
#include <string>

namespace matriarch {

class Random {
  public:
    virtual ~Random() = default;
    // Uniform over all 64-bit values. Safe from any thread in production.
    virtual std::uint64_t next() = 0;

    // Uniform in [0, bound); 0 if bound is 0. The modulo bias is below 2^-32 for our bounds.
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
    // `bytes` random bytes in lower-case hex.
    std::string hex(int bytes);
    // A password of `length` letters and digits without look-alikes.
    std::string password(int length);
};

// getrandom(2).
class SystemRandom final : public Random {
  public:
    std::uint64_t next() override;
};

}  // namespace matriarch
