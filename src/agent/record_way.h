// RecordWay: a master's own renewal of the authority record, a Lease in the Kubernetes API.
//
// Read, judged, and written back with a new renewTime by compare-and-swap, so a renewal succeeds
// only while the record names us and serves; that is what an operator that waits for an expiry
// relies on. A conflict is read again within the same try. The pod's service account may get and
// update this one Lease. Asynchronous on the client's io thread; `deliver` is called from there,
// once for each try.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/address_book.h"
#include "agent/ways.h"
#include "net/client.h"

namespace matriarch::agent {

struct ApiServer {
    std::string host;  // empty: there is none, way 2 is closed
    int port = 443;
    std::string token_file, ca_file;  // read again for each try: tokens live about an hour
    std::string name_space;
    std::string lease;  // the cluster's name
};

// What the Lease `body` says to `claim`.
struct Judgement {
    RecordWord word = RecordWord::Nothing;  // Renewed: it may be renewed ...
    std::string renewed_body;               // ... by writing this
    milliseconds ttl{0};
    std::string why;
};
Judgement judge_record(const std::string& body, const Claim& claim, WallTime now);

class RecordWay {
  public:
    using Deliver = std::function<void(RecordAnswered)>;
    // All but `api` must outlive it, and the client must have stopped before it goes.
    RecordWay(ApiServer api, net::HttpClient& client, AddressBook& book, const Clock& clock,
              Deliver deliver);

    void renew(const Claim& claim, TimePoint sent, Deadline deadline);

  private:
    struct Try;
    void read(std::shared_ptr<Try> t);
    void write(std::shared_ptr<Try> t, Judgement judgement);
    void end(const Try& t, RecordWord word, milliseconds ttl, std::string why);
    net::HttpRequest request(const Try& t, const char* method) const;

    const ApiServer api_;
    net::HttpClient& client_;
    AddressBook& book_;
    const Clock& clock_;
    const Deliver deliver_;
    const std::shared_ptr<net::TlsIdentitySource> tls_;
};

}  // namespace matriarch::agent
