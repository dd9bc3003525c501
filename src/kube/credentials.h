// Who we are and whom we trust: in-cluster service account or kubeconfig.
//
// A CredentialSource is asked before every request and answers from memory; it reads files again
// when they may have changed (tokens live about an hour; a token read once dies with it).
// Thread-safe. Errors are Invalid (a broken file: they name file, context and field), Unavailable
// (a file that can't be read) or Unauthorized.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::kube {

struct Credentials {
    std::string server = {};  // "https://10.0.0.1:6443"
    std::string tls_server_name =
        {};                   // the name the certificate must have, if not the server's host
    std::string ca_pem = {};  // the only authorities that we trust; empty: those of the system
    std::string client_cert_pem = {};
    std::string client_key_pem = {};
    std::string token = {};
    bool insecure_skip_tls_verify = false;
    std::string default_namespace = "default";

    friend bool operator==(const Credentials&, const Credentials&) = default;
};

class CredentialSource {
  public:
    virtual ~CredentialSource() = default;
    // The last good credentials, read again if they are due. Fails only if there never were any.
    virtual Result<Credentials> current() = 0;
    // The server said 401: read again at the next current().
    virtual void invalidate() = 0;
};

// Credentials that never change.
class StaticCredentials final : public CredentialSource {
  public:
    explicit StaticCredentials(Credentials credentials) : credentials_(std::move(credentials)) {}
    Result<Credentials> current() override { return credentials_; }
    void invalidate() override {}

  private:
    Credentials credentials_;
};

// Calls `load` every `period` and after invalidate(); keeps the last good answer if it fails.
class ReloadingCredentials : public CredentialSource {
  public:
    using Load = std::function<Result<Credentials>()>;
    ReloadingCredentials(const Clock& clock, Duration period, Load load);
    Result<Credentials> current() override;
    void invalidate() override;

  private:
    const Clock& clock_;
    const Duration period_;
    const Load load_;
    std::mutex mutex_;
    std::optional<Credentials> last_;  // guarded by mutex_, like all below
    TimePoint next_read_{};
};

// Where the process looks; tests give their own.
struct Surroundings {
    std::map<std::string, std::string> environment = {};
    std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";

    static Surroundings of_process();
    std::string get(const std::string& name) const;
};

// KUBERNETES_SERVICE_HOST/PORT and the mounted token, ca.crt and namespace.
Result<Credentials> load_in_cluster(const Surroundings& surroundings);

struct KubeconfigChoice {
    std::string path = {};     // --kubeconfig; empty: the KUBECONFIG list, then ~/.kube/config
    std::string context = {};  // --context; empty: current-context
};

Result<Credentials> load_kubeconfig(const Surroundings& surroundings,
                                    const KubeconfigChoice& choice);

// kubeconfig if a path or KUBECONFIG is given, else in-cluster where its environment exists, else
// ~/.kube/config. Fails at once if the first read fails. Re-reads every 60 s and after a 401.
Result<std::unique_ptr<CredentialSource>> find_credentials(const Surroundings& surroundings,
                                                           const KubeconfigChoice& choice,
                                                           const Clock& clock);

}  // namespace matriarch::kube
