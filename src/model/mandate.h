// The mandate's messages and its arithmetic: grants, promises, and how long others must wait.
//
// The mandate is the master's right to acknowledge writes, with a deadline on its instance's own
// CLOCK_BOOTTIME. It is prolonged by a grant (the leader's poll or order), by the record (the
// agent's own compare-and-swap), or by the promises of the whole candidate set. See design:
// Mandate.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/record.h"

namespace matriarch {

// How long those who wait for an expiry wait, for a mandate of `ttl`: clocks may differ by 4 % on
// each side, and a last write may be on its way. Source: design, Mandate.
constexpr std::chrono::milliseconds expiry_wait(std::chrono::milliseconds ttl) {
    return ttl + ttl / 10 + std::chrono::milliseconds(100);
}

// The leader's word that the master of `epoch` may acknowledge writes until `reading` + `ttl` on
// its agent's own clock. Counted from before the grant was sent, so a delayed one is harmless.
struct Grant {
    Epoch epoch;
    EpochId epoch_id;
    std::chrono::milliseconds reading{0};  // that agent's clock, from a report the leader had
    std::chrono::milliseconds ttl{0};      // not beyond the leader's own leadership
    CandidateSet candidates;               // of the record; stored by the master, and acknowledged
    friend bool operator==(const Grant&, const Grant&) = default;
};

// A master's agent to every member of its candidate set: accept no promotion after an expiry for
// expiry_wait(ttl) from the receipt.
struct PromiseRequest {
    InstanceName holder;
    PodUid holder_pod;
    Epoch epoch;
    EpochId epoch_id;
    std::chrono::milliseconds ttl{0};  // the largest in force
    std::uint64_t round = 0;           // of the asker; comes back in the answer
    friend bool operator==(const PromiseRequest&, const PromiseRequest&) = default;
};

struct PromiseAnswer {
    bool promised = false;
    std::string reason;  // why not
    PodUid pod;          // who answers
    Epoch epoch;         // the highest that it knows
    std::uint64_t round = 0;
    friend bool operator==(const PromiseAnswer&, const PromiseAnswer&) = default;
};

// What prolonged the mandate last, for people.
enum class MandateSource { None, Grant, Record, Promises, Alone };
std::string_view to_string(MandateSource source);

std::string to_json(const PromiseRequest& request);
Result<PromiseRequest> promise_request_from_json(std::string_view text);
std::string to_json(const PromiseAnswer& answer);
Result<PromiseAnswer> promise_answer_from_json(std::string_view text);

inline constexpr std::string_view kPromisePath = "/v1/promise";  // POST PromiseRequest

}  // namespace matriarch
