#include "agent/record_way.h"

#include <nlohmann/json.hpp>

#include "agent/files.h"
#include "model/record.h"

namespace matriarch::agent {
namespace {

using Json = nlohmann::json;

constexpr int kLane = 0;

// A phase that a newer operator made up must not read as one that we know.
bool knows_phase(const Json& lease, const AuthorityRecord& record) {
    const Json annotation = Json::parse(
        lease["metadata"]["annotations"][std::string(kRecordAnnotation)].get<std::string>(),
        nullptr, false);
    return annotation.is_object() && annotation.value("phase", Json()) == to_string(record.phase);
}

std::string difference(const AuthorityRecord& r, const Claim& c) {
    if (r.epoch != c.epoch) return "the record is at epoch " + std::to_string(r.epoch.value);
    if (r.epoch_id != c.epoch_id) return "the record's epoch has id " + r.epoch_id.value;
    if (r.holder != c.holder || r.holder_pod != c.pod)
        return "the record names " + r.holder.value + ", pod " + r.holder_pod.value;
    return {};
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

}  // namespace

Judgement judge_record(const std::string& body, const Claim& claim, WallTime now) {
    Json lease = Json::parse(body, nullptr, false);
    if (!lease.is_object()) return {RecordWord::Nothing, {}, {}, "the API's answer is no JSON"};
    const auto record = record_from_lease(lease);
    if (!record) return {RecordWord::Ends, {}, {}, record.error().message()};
    if (auto why = difference(*record, claim); !why.empty())
        return {RecordWord::Rejected, {}, {}, std::move(why)};
    if (!knows_phase(lease, *record))
        return {RecordWord::Ends, {}, {}, "the record is in a phase that this agent does not know"};
    if (record->phase == Phase::Closing) return {RecordWord::Ends, {}, {}, "the record is closing"};
    if (record->phase == Phase::Promoting)
        return {RecordWord::Nothing, {}, {}, "our promotion is not verified yet"};
    // Without it the write would be no compare-and-swap.
    if (record->version.empty())
        return {RecordWord::Nothing, {}, {}, "the Lease has no resourceVersion"};
    lease["spec"]["renewTime"] = format_rfc3339(now);
    return {RecordWord::Renewed, lease.dump(), record->ttl, {}};
}

struct RecordWay::Try {
    Claim claim;
    TimePoint sent;
    Deadline deadline;
    net::PeerAddress peer;
    std::string token;
};

RecordWay::RecordWay(ApiServer api, net::HttpClient& client, AddressBook& book, const Clock& clock,
                     Deliver deliver)
    : api_(std::move(api)),
      client_(client),
      book_(book),
      clock_(clock),
      deliver_(std::move(deliver)),
      tls_(std::make_shared<net::FileIdentity>(net::FileIdentity::Paths{"", "", api_.ca_file},
                                               clock)) {
    if (!api_.host.empty()) book_.expect("api", {api_.host});
}

void RecordWay::end(const Try& t, RecordWord word, milliseconds ttl, std::string why) {
    deliver_(RecordAnswered{t.claim, t.sent, word, ttl, std::move(why)});
}

void RecordWay::renew(const Claim& claim, TimePoint sent, Deadline deadline) {
    auto t = std::make_shared<Try>();
    t->claim = claim;
    t->sent = sent;
    t->deadline = deadline;
    const auto nothing = [&](std::string why) {
        end(*t, RecordWord::Nothing, milliseconds(0), std::move(why));
    };
    if (api_.host.empty()) return nothing("no Kubernetes API is known");
    const auto address = book_.find(api_.host);
    if (!address) return nothing(api_.host + " has no known address");
    auto token = read_file(api_.token_file, 1u << 16);
    if (!token) return nothing(token.error().message());
    t->token = trimmed(std::move(*token));
    t->peer.ip = *address;
    t->peer.port = static_cast<std::uint16_t>(api_.port);
    if (*address != api_.host) t->peer.server_name = api_.host;
    t->peer.tls = tls_;
    read(std::move(t));
}

net::HttpRequest RecordWay::request(const Try& t, const char* method) const {
    net::HttpRequest out;
    out.method = method;
    out.target =
        "/apis/coordination.k8s.io/v1/namespaces/" + api_.name_space + "/leases/" + api_.lease;
    out.headers.set("Authorization", "Bearer " + t.token);
    out.headers.set("Accept", "application/json");
    out.headers.set("User-Agent", "matriarch-agent");
    return out;
}

void RecordWay::read(std::shared_ptr<Try> t) {
    client_.request(t->peer, kLane, request(*t, "GET"), t->deadline,
                    [this, t](Result<net::HttpResponse> got) {
                        if (!got) return end(*t, RecordWord::Nothing, {}, got.error().message());
                        if (got->status != 200)
                            return end(*t, RecordWord::Nothing, {},
                                       "reading: status " + std::to_string(got->status));
                        auto judgement = judge_record(got->body, t->claim, clock_.wall());
                        if (judgement.word != RecordWord::Renewed)
                            return end(*t, judgement.word, {}, std::move(judgement.why));
                        write(t, std::move(judgement));
                    });
}

void RecordWay::write(std::shared_ptr<Try> t, Judgement judgement) {
    auto put = request(*t, "PUT");
    put.headers.set("Content-Type", "application/json");
    put.body = std::move(judgement.renewed_body);
    client_.request(t->peer, kLane, std::move(put), t->deadline,
                    [this, t, ttl = judgement.ttl](Result<net::HttpResponse> got) {
                        if (!got) return end(*t, RecordWord::Nothing, {}, got.error().message());
                        if (got->status == 200) return end(*t, RecordWord::Renewed, ttl, {});
                        // Somebody changed it meanwhile: what it says now decides.
                        if (got->status == 409) return read(t);
                        end(*t, RecordWord::Nothing, {},
                            "writing: status " + std::to_string(got->status));
                    });
}

}  // namespace matriarch::agent
