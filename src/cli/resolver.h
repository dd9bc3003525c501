// Resolver: addresses of host names, without ever waiting for DNS.
//
// libpq resolves names synchronously even in its non-blocking calls, and a name server that is slow
// for one host must not delay the others. So each name has a thread of its own; callers get the
// last answer, and ask for a newer one, since a restarted pod has another address. One caller.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/target.h"

namespace matriarch::cli {

class Resolver {
  public:
    explicit Resolver(const std::vector<Host>& hosts);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // What is known of host `i`; empty until the first answer. A socket's path needs none.
    std::vector<std::string> addresses(std::size_t i);
    // Looks the name up again, unless that is already going on.
    void refresh(std::size_t i);

  private:
    struct Entry;
    // Shared with the threads, which may hang in a lookup for longer than we live.
    std::vector<std::shared_ptr<Entry>> entries_;
};

}  // namespace matriarch::cli
