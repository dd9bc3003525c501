#include "operator/health_access.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "net/crypto.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

constexpr Duration kAnswerIn = seconds(5);

// The API server's words may quote the request: they go to the log, not to the caller.
Error nobody_to_ask(const char* what, const Error& why) {
    Error out = make_error(ErrorKind::Unavailable, what, why.message());
    if (why.kind == ErrorKind::Forbidden)
        out.what +=
            " (the operator needs the right to create tokenreviews and "
            "subjectaccessreviews: the chart's rbac.create and health.enabled)";
    out.retry_after = std::chrono::duration_cast<milliseconds>(HealthAccess::kKeepFailed);
    return out;
}

Json extra_json(const Identity& who) {
    Json out = Json::object();
    for (const auto& [name, values] : who.extra) out[name] = values;
    return out;
}

std::vector<std::string> texts(const Json& list) {
    std::vector<std::string> out;
    for (const Json& item : list)
        if (const auto* text = item.get_ptr<const std::string*>()) out.push_back(*text);
    return out;
}

}  // namespace

Result<Identity> KubeReviews::whose(const std::string& token) {
    const auto answer =
        client_.review(kube::kTokenReviews, {{"spec", {{"token", token}}}}, {.timeout = kAnswerIn});
    if (!answer) return nobody_to_ask("the bearer token could not be checked", answer.error());
    if (!kube::get_bool(*answer, {"status", "authenticated"}))
        return make_error(ErrorKind::Unauthorized, "the bearer token is not valid");
    Identity out;
    out.user = kube::get_string(*answer, {"status", "user", "username"});
    out.uid = kube::get_string(*answer, {"status", "user", "uid"});
    out.groups = texts(kube::get_array(*answer, {"status", "user", "groups"}));
    if (const Json* extra = kube::find_path(*answer, {"status", "user", "extra"});
        extra != nullptr && extra->is_object())
        for (const auto& [name, values] : extra->items())
            if (values.is_array()) out.extra[name] = texts(values);
    return out;
}

Result<bool> KubeReviews::allows(const Identity& who, const ClusterKey& cluster,
                                 const std::string& verb) {
    const Json spec = {{"user", who.user},
                       {"uid", who.uid},
                       {"groups", who.groups},
                       {"extra", extra_json(who)},
                       {"resourceAttributes",
                        {{"group", kube::kPostgresClusters.group},
                         {"resource", kube::kPostgresClusters.plural},
                         {"subresource", "health"},
                         {"namespace", cluster.name_space},
                         {"name", cluster.name},
                         {"verb", verb}}}};
    const auto answer =
        client_.review(kube::kSubjectAccessReviews, {{"spec", spec}}, {.timeout = kAnswerIn});
    if (!answer) return nobody_to_ask("the right could not be checked", answer.error());
    return kube::get_bool(*answer, {"status", "allowed"});
}

template <class T>
HealthAccess::Kept<T>* HealthAccess::fresh(Cache<T>& cache, const std::string& key) {
    const auto found = cache.find(key);
    return found == cache.end() || found->second.until <= clock_.now() ? nullptr : &found->second;
}

template <class T>
void HealthAccess::make_room(Cache<T>& cache) {
    if (cache.size() < kMaxEntries) return;
    const TimePoint now = clock_.now();
    std::erase_if(cache, [&](const auto& entry) { return entry.second.until <= now; });
    if (cache.size() < kMaxEntries) return;
    cache.erase(std::min_element(cache.begin(), cache.end(), [](const auto& a, const auto& b) {
        return a.second.until < b.second.until;
    }));
}

Duration HealthAccess::keep(const Result<Identity>& answer) const {
    if (answer) return kKeepGood;
    return answer.error().kind == ErrorKind::Unauthorized ? kKeepRefused : kKeepFailed;
}

Duration HealthAccess::keep(const Result<bool>& answer) const {
    if (!answer) return kKeepFailed;
    return *answer ? kKeepGood : kKeepRefused;
}

template <class T, class Ask>
Result<T> HealthAccess::ask(Cache<T>& cache, const std::string& key, Ask ask) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto* kept = fresh(cache, key)) return kept->answer;
    }
    Result<T> answer = ask();
    const std::lock_guard lock(mutex_);
    make_room(cache);
    cache.insert_or_assign(key, Kept<T>{answer, clock_.now() + keep(answer)});
    return answer;
}

bool HealthAccess::knows(const std::string& token) {
    const std::string key = net::sha256_hex(token);
    const std::lock_guard lock(mutex_);
    const auto* kept = fresh(identities_, key);
    return kept != nullptr && kept->answer.ok();
}

Result<Identity> HealthAccess::who(const std::string& token) {
    const std::string key = net::sha256_hex(token);
    return ask(identities_, key, [&]() -> Result<Identity> {
        auto who = reviews_.whose(token);
        if (who) who->key = key;
        return who;
    });
}

Status HealthAccess::may(const Identity& who, const ClusterKey& cluster, const std::string& verb) {
    const std::string key = who.key + ' ' + verb + ' ' + cluster.str();
    const auto allowed = ask(rights_, key, [&] { return reviews_.allows(who, cluster, verb); });
    if (!allowed) return allowed.error();
    if (*allowed) return {};
    return make_error(ErrorKind::Forbidden, who.user + " may not " + verb +
                                                " postgresclusters/health of " + cluster.str());
}

}  // namespace matriarch::op
