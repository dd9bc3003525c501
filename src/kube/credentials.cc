#include "kube/credentials.h"

#include <unistd.h>

#include "kube/file.h"

namespace matriarch::kube {

ReloadingCredentials::ReloadingCredentials(const Clock& clock, Duration period, Load load)
    : clock_(clock), period_(period), load_(std::move(load)) {}

Result<Credentials> ReloadingCredentials::current() {
    std::scoped_lock lock(mutex_);
    const TimePoint now = clock_.now();
    if (last_ && now < next_read_) return *last_;
    Result<Credentials> fresh = load_();
    // A file caught in the middle of its replacement, or a volume that is away, is no reason to
    // forget who we are.
    if (!fresh && !last_) return fresh;
    if (fresh) last_ = std::move(*fresh);
    next_read_ = now + period_;
    return *last_;
}

void ReloadingCredentials::invalidate() {
    std::scoped_lock lock(mutex_);
    next_read_ = TimePoint::min();
}

Surroundings Surroundings::of_process() {
    Surroundings out;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        if (const std::size_t equals = text.find('='); equals != std::string_view::npos) {
            out.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return out;
}

std::string Surroundings::get(const std::string& name) const {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
}

Result<Credentials> load_in_cluster(const Surroundings& surroundings) {
    const std::string host = surroundings.get("KUBERNETES_SERVICE_HOST");
    const std::string port = surroundings.get("KUBERNETES_SERVICE_PORT");
    if (host.empty() || port.empty()) {
        return make_error(ErrorKind::Invalid,
                          "in-cluster credentials: KUBERNETES_SERVICE_HOST and "
                          "KUBERNETES_SERVICE_PORT are not set; not in a pod?");
    }
    Credentials out;
    // The HTTP library can't dial an IPv6 literal; this name is in the server's certificate, too.
    const bool v6 = host.find(':') != std::string::npos;
    out.server = "https://" + (v6 ? "kubernetes.default.svc" : host) + ":" + port;

    const std::string dir = surroundings.service_account_dir;
    Result<std::string> token = read_file(dir + "/token");
    if (!token) return token.error();
    out.token = trim(*token);
    if (out.token.empty()) {
        return make_error(ErrorKind::Unauthorized, dir + "/token is empty");
    }
    Result<std::string> ca = read_file(dir + "/ca.crt");
    if (!ca) return ca.error();
    out.ca_pem = std::move(*ca);
    if (Result<std::string> ns = read_file(dir + "/namespace")) {
        if (const std::string name = trim(*ns); !name.empty()) out.default_namespace = name;
    }
    return out;
}

Result<std::unique_ptr<CredentialSource>> find_credentials(const Surroundings& surroundings,
                                                           const KubeconfigChoice& choice,
                                                           const Clock& clock) {
    const bool named = !choice.path.empty() || !surroundings.get("KUBECONFIG").empty();
    const bool in_pod = !surroundings.get("KUBERNETES_SERVICE_HOST").empty();
    ReloadingCredentials::Load load;
    if (!named && in_pod) {
        load = [surroundings] { return load_in_cluster(surroundings); };
    } else {
        load = [surroundings, choice] { return load_kubeconfig(surroundings, choice); };
    }
    // Kubelet replaces a token at 80 % of its life; client-go reads it once a minute.
    auto source =
        std::make_unique<ReloadingCredentials>(clock, std::chrono::seconds(60), std::move(load));
    if (const Result<Credentials> first = source->current(); !first) return first.error();
    return std::unique_ptr<CredentialSource>(std::move(source));
}

}  // namespace matriarch::kube
