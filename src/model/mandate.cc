#include "model/mandate.h"

#include "model/mandate_json.h"
#include "model/record_json.h"

namespace matriarch {

std::string_view to_string(MandateSource source) {
    switch (source) {
        case MandateSource::None:
            return "none";
        case MandateSource::Grant:
            return "grant";
        case MandateSource::Record:
            return "record";
        case MandateSource::Promises:
            return "promises";
        case MandateSource::Alone:
            return "alone";
    }
    return "none";
}

using json::Json;
using json::read;

namespace json {

Json write_grant(const Grant& g) {
    return {{"epoch", g.epoch.value},
            {"epochId", g.epoch_id.value},
            {"readingMs", g.reading.count()},
            {"ttlMs", g.ttl.count()},
            {"candidates", write_candidates(g.candidates)}};
}

std::optional<Grant> read_grant(const Json& value) {
    if (!value.is_object()) return {};
    Grant g;
    read(value, "epoch", g.epoch);
    read(value, "epochId", g.epoch_id);
    read(value, "readingMs", g.reading);
    read(value, "ttlMs", g.ttl);
    g.candidates = read_candidates(at(value, "candidates"));
    return g;
}

}  // namespace json

namespace {

template <class Request, class Io>
void members(Request& r,
             Io&& io) requires std::is_same_v<std::remove_const_t<Request>, PromiseRequest> {
    io("holder", r.holder);
    io("holderPod", r.holder_pod);
    io("epoch", r.epoch);
    io("epochId", r.epoch_id);
    io("ttlMs", r.ttl);
    io("round", r.round);
}

template <class Answer, class Io>
void members(Answer& a,
             Io&& io) requires std::is_same_v<std::remove_const_t<Answer>, PromiseAnswer> {
    io("promised", a.promised);
    io("reason", a.reason);
    io("pod", a.pod);
    io("epoch", a.epoch);
    io("round", a.round);
}

template <class T>
std::string write_message(const T& message) {
    Json out = Json::object();
    members(message, [&](const char* key, const auto& member) { out[key] = json::write(member); });
    return out.dump();
}

template <class T>
Result<T> read_message(std::string_view text, const char* what) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, std::string(what) + " must be a JSON object");
    T out;
    members(out, [&](const char* key, auto& member) { read(*body, key, member); });
    return out;
}

}  // namespace

std::string to_json(const PromiseRequest& request) {
    return write_message(request);
}

Result<PromiseRequest> promise_request_from_json(std::string_view text) {
    return read_message<PromiseRequest>(text, "a request for a promise");
}

std::string to_json(const PromiseAnswer& answer) {
    return write_message(answer);
}

Result<PromiseAnswer> promise_answer_from_json(std::string_view text) {
    return read_message<PromiseAnswer>(text, "a promise");
}

}  // namespace matriarch
