// Writer: a client that commits rows, one at a time, with a session that it keeps as long as it
// can.
//
// One kind asks the write route before it dials, the other tries one instance after the other, as a
// multi-host URI does; both stay where they are until the session breaks or goes silent, which is
// how a former master keeps its clients.
#pragma once

#include <memory>

#include "checks.h"
#include "kubelet.h"
#include "network.h"

namespace matriarch::sim {

class Writer {
  public:
    enum class Dials { Route, EveryHost };
    Writer(World& world, Network& net, HostId host, Kubelet& kubelet, const Checks& checks,
           Dials dials)
        : world_(world),
          net_(net),
          host_(host),
          kubelet_(kubelet),
          checks_(checks),
          dials_(dials) {}

    void begin() { next(); }

  private:
    struct Attempt {
        bool over = false;
    };
    void next();
    void dial();
    void send();
    void ended(bool acknowledged);

    World& world_;
    Network& net_;
    const HostId host_;
    Kubelet& kubelet_;
    const Checks& checks_;
    const Dials dials_;
    Postgres* session_ = nullptr;
    std::shared_ptr<Process> server_;  // of the session
    std::size_t tried_ = 0;
    std::shared_ptr<Attempt> attempt_;
};

}  // namespace matriarch::sim
