#include "operator/check.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "kube/client.h"
#include "kube/cpprest_transport.h"
#include "operator/health_access.h"

namespace matriarch::op {

int check(const Options& options, kube::CredentialSource& credentials, const Clock& clock) {
    kube::CpprestTransport transport(credentials, clock);
    kube::Client client(transport, clock);
    bool good = true;
    const auto say = [&](const char* question, const Status& answer) {
        std::printf("%-45s %s\n", question, answer ? "yes" : answer.error().message().c_str());
        good = good && answer.ok();
    };
    const auto version = client.get_path("/version");
    say("the Kubernetes API answers", version ? Status() : version.error());
    auto namespaces = options.watch_namespaces;
    if (namespaces.empty()) namespaces.push_back("");
    for (const auto& ns : namespaces) {
        const auto where = ns.empty() ? std::string("all namespaces") : "namespace " + ns;
        for (const auto& resource : {kube::kPostgresClusters, kube::kStatefulSets, kube::kPods,
                                     kube::kSecrets, kube::kLeases}) {
            const auto listed =
                client.list(resource, {.ns = ns, .page_size = 1}, [](const auto&) {});
            const std::string question =
                "may list " + std::string(resource.plural) + " in " + where;
            say(question.c_str(), listed ? Status() : listed.error());
        }
    }
    if (!options.health_api.address.empty()) {
        // Nobody's token: that the question may be asked is enough.
        KubeReviews reviews(client);
        const auto who = reviews.whose("none");
        const bool answered = who || who.error().kind == ErrorKind::Unauthorized;
        say("may ask whose a token is", answered ? Status() : who.error());
    }
    return good ? 0 : 1;
}

}  // namespace matriarch::op
