#include "agent/local_ways.h"

#include <charconv>

#include "model/report.h"

namespace matriarch::agent {
namespace {

constexpr int kPromiseLane = 1;  // rescues use 0

}  // namespace

LocalWays::LocalWays(Peers peers, ApiServer api, std::shared_ptr<net::HttpClient> client,
                     const Clock& clock, Deliver deliver)
    : peers_(std::move(peers)),
      client_(std::move(client)),
      deliver_(std::move(deliver)),
      record_(std::move(api), *client_, book_, clock,
              [this](RecordAnswered answered) { deliver_(std::move(answered)); }) {}

// Its callbacks refer to us.
LocalWays::~LocalWays() {
    client_->stop();
}

void LocalWays::renew_record(const Claim& claim, TimePoint sent, Deadline deadline) {
    record_.renew(claim, sent, deadline);
}

LocalWays::Host LocalWays::host_of(const InstanceName& instance) const {
    Host out;
    if (const auto found = peers_.elsewhere.find(instance.value); found != peers_.elsewhere.end()) {
        const std::string& text = found->second;
        const auto colon = text.rfind(':');
        out.name = text.substr(0, colon);
        if (colon != std::string::npos)
            std::from_chars(text.data() + colon + 1, text.data() + text.size(), out.peer.port);
        out.peer.server_name = instance.value;
        return out;
    }
    out.name = pod_name(instance) + "." + peers_.domain;
    out.peer.port = static_cast<std::uint16_t>(peers_.port);
    out.peer.server_name = out.name;
    return out;
}

void LocalWays::expect(const std::vector<Member>& members) {
    std::set<std::string> hosts;
    for (const auto& member : members) hosts.insert(host_of(member.instance).name);
    book_.expect("members", std::move(hosts));
}

void LocalWays::ask_promises(const PromiseRequest& request, const std::vector<Member>& members,
                             Deadline deadline) {
    expect(members);
    for (const auto& member : members) ask(request, member, deadline);
}

void LocalWays::ask(const PromiseRequest& question, const Member& member, Deadline deadline) {
    Host host = host_of(member.instance);
    const auto failed = [round = question.round](std::string why) {
        PromiseAnswer answer;
        answer.round = round;
        answer.reason = std::move(why);
        return answer;
    };
    const auto address = book_.find(host.name);
    if (!address)
        return deliver_(PromiseAnswered{member, failed(host.name + " has no known address")});
    host.peer.ip = *address;
    net::HttpRequest request;
    request.method = "POST";
    request.target = std::string(kPromisePath);
    request.body = to_json(question);
    client_->request(
        host.peer, kPromiseLane, std::move(request), deadline,
        [this, member, failed](Result<net::HttpResponse> got) {
            if (!got) return deliver_(PromiseAnswered{member, failed(got.error().message())});
            if (got->status != 200)
                return deliver_(
                    PromiseAnswered{member, failed("status " + std::to_string(got->status))});
            auto answer = promise_answer_from_json(got->body);
            deliver_(PromiseAnswered{member, answer ? *answer : failed(answer.error().message())});
        });
}

}  // namespace matriarch::agent
