// LocalWays: the real Ways: the Lease in the Kubernetes API, and the other agents' order ports.
//
// Everything is asynchronous, on the client's one io thread; answers are posted to the main loop.
// Asked by the main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/address_book.h"
#include "agent/instance.h"
#include "agent/record_way.h"
#include "agent/ways.h"
#include "net/client.h"

namespace matriarch::agent {

// Where the agents of the cluster are.
struct Peers {
    std::string domain;  // <pod>.<domain> is an instance's name in DNS and in its certificate
    int port = kAgentPort;
    // Instance -> address:port, for those that are elsewhere (tests): its certificate is then in
    // its own name.
    std::map<std::string, std::string> elsewhere;
};

class LocalWays final : public Ways {
  public:
    using Deliver = std::function<void(Event)>;  // from any thread
    LocalWays(Peers peers, ApiServer api, std::shared_ptr<net::HttpClient> client,
              const Clock& clock, Deliver deliver);
    ~LocalWays() override;

    void renew_record(const Claim& claim, TimePoint sent, Deadline deadline) override;
    void ask_promises(const PromiseRequest& request, const std::vector<Member>& members,
                      Deadline deadline) override;
    void expect(const std::vector<Member>& members) override;

  private:
    struct Host {
        std::string name;       // to be looked up
        net::PeerAddress peer;  // without the address, if it must be looked up
    };
    Host host_of(const InstanceName& instance) const;
    void ask(const PromiseRequest& request, const Member& member, Deadline deadline);

    const Peers peers_;
    const std::shared_ptr<net::HttpClient> client_;
    const Deliver deliver_;
    AddressBook book_;
    RecordWay record_;
};

}  // namespace matriarch::agent
