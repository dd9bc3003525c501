#include "operator/https_wire.h"

#include "net/crypto.h"
#include "net/pki.h"
#include "operator/certificates.h"

namespace matriarch::op {
namespace {

net::ClientOptions client_options() {
    net::ClientOptions options;
    options.connect_timeout = seconds(1);
    return options;
}

// Of all that it holds. Beside the cache no second copy of a CA, with its key, is kept.
std::string hash_of(const StringMap& ca) {
    std::string all;
    for (const auto& [key, value] : ca)
        all += key + ' ' + std::to_string(value.size()) + ' ' + value;
    return net::sha256(all);
}

}  // namespace

HttpsWire::HttpsWire(const Clock& clock, Random& random)
    : clock_(clock), random_(random), client_(client_options(), clock) {}

Status HttpsWire::set_authority(const ClusterKey& cluster, const StringMap& ca) {
    const std::string hash = hash_of(ca);
    std::lock_guard lock(mutex_);
    Authority& authority = authorities_[cluster];
    if (authority.identity && authority.made_from == hash && clock_.wall() < authority.renew_at)
        return {};
    auto pair = issue_operator_identity(ca, clock_, random_);
    if (!pair) return pair.error();
    auto identity = net::TlsIdentity::parse(pair->certificate_pem, pair->key_pem, trusted_pem(ca));
    if (!identity) return identity.error();
    authority.made_from = hash;
    authority.renew_at = clock_.wall() + std::chrono::duration_cast<WallTime::duration>(
                                             net::kCertificateLifetime * 2 / 3);
    if (authority.identity)
        authority.identity->replace(*identity);
    else
        authority.identity = std::make_shared<net::MemoryIdentity>(*identity);
    return {};
}

void HttpsWire::drop_authority(const ClusterKey& cluster) {
    std::lock_guard lock(mutex_);
    authorities_.erase(cluster);
}

net::PeerAddress HttpsWire::peer(const AgentAddress& to) const {
    net::PeerAddress out;
    out.ip = to.ip;
    out.port = kAgentPort;
    out.server_name = to.server_name;
    std::lock_guard lock(mutex_);
    const auto found = authorities_.find(to.cluster);
    if (found != authorities_.end()) out.tls = found->second.identity;
    return out;
}

void HttpsWire::poll(const AgentAddress& to, Lane lane, const Poll& poll, Duration timeout,
                     OnReport callback) {
    post(to, lane, kPollPath, to_json(poll), timeout,
         [callback = std::move(callback)](const Result<std::string>& body) {
             callback(body ? report_from_json(*body) : Result<Report>(body.error()));
         });
}

void HttpsWire::order(const AgentAddress& to, const Order& order, Duration timeout,
                      OnOrderAnswer callback) {
    post(to, kOrderLane, kOrderPath, to_json(order), timeout,
         [callback = std::move(callback)](const Result<std::string>& body) {
             callback(body ? order_answer_from_json(*body) : Result<OrderAnswer>(body.error()));
         });
}

void HttpsWire::post(const AgentAddress& to, Lane lane, std::string_view path, std::string body,
                     Duration timeout, OnBody callback) {
    net::PeerAddress address = peer(to);
    if (!address.tls)  // never without TLS: an agent would not listen anyway
        address.tls = std::make_shared<net::MemoryIdentity>(nullptr);
    net::HttpRequest request;
    request.method = "POST";
    request.target = std::string(path);
    request.body = std::move(body);
    request.headers.set("Content-Type", "application/json");
    client_.request(
        address, lane, std::move(request), Deadline::after(clock_, timeout),
        [callback = std::move(callback)](Result<net::HttpResponse> answer) {
            if (!answer) return callback(answer.error());
            if (!answer->success())
                return callback(make_error(ErrorKind::Unavailable,
                                           "the agent answered " + std::to_string(answer->status),
                                           answer->body.substr(0, 200)));
            callback(std::move(answer->body));
        });
}

void HttpsWire::forget(const AgentAddress& to) {
    client_.forget(peer(to));
}

void HttpsWire::stop() {
    client_.stop();
}

}  // namespace matriarch::op
