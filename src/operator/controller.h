// Controller: the operator process: caches, work queue, workers, leader election, metrics, health.
//
// Everything is warm on a standby; only workers and polls wait for leadership. run() blocks until
// stopped, then ends in the order that safety asks for: workers, polls, caches, events, and the
// lease last. Loss of leadership ends the process at once: no destructor may write then.
#pragma once

#include <memory>
#include <stop_token>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "kube/credentials.h"
#include "operator/options.h"

namespace matriarch::op {

class Controller {
  public:
    Controller(const Options& options, kube::CredentialSource& credentials, const Clock& clock,
               Random& random);
    ~Controller();

    // An Error only for what can't be mended by waiting: an address in use, for example.
    Status run(std::stop_token stop);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace matriarch::op
