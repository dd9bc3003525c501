// HealthAccess: who asks the health API, and what he may see, by Kubernetes' own word.
//
// A bearer token is looked up by TokenReview, a right by SubjectAccessReview on
// postgresclusters/health of one cluster. Answers are kept for seconds, refusals shorter, and so
// are failures of the API server, so that neither a busy client nor a wrong token becomes its load.
// Tokens are kept as digests only. Bounded; safe from any thread; blocks while it asks. Errors:
// Unauthorized, Forbidden, Unavailable (nobody could be asked; `retry_after` is set).
#pragma once

#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "kube/client.h"
#include "model/ids.h"

namespace matriarch::op {

struct Identity {
    std::string user, uid;
    std::vector<std::string> groups;
    std::map<std::string, std::vector<std::string>> extra;
    std::string key;  // tells identities apart: the digest of the token
};

// What is asked of the API server, as an interface for tests.
class Reviews {
  public:
    virtual ~Reviews() = default;
    // Unauthorized: it is nobody's token.
    virtual Result<Identity> whose(const std::string& token) = 0;
    virtual Result<bool> allows(const Identity& who, const ClusterKey& cluster,
                                const std::string& verb) = 0;
};

class KubeReviews final : public Reviews {
  public:
    explicit KubeReviews(kube::Client& client) : client_(client) {}
    Result<Identity> whose(const std::string& token) override;
    Result<bool> allows(const Identity& who, const ClusterKey& cluster,
                        const std::string& verb) override;

  private:
    kube::Client& client_;
};

class HealthAccess {
  public:
    static constexpr Duration kKeepGood = seconds(10);
    static constexpr Duration kKeepRefused = seconds(2);
    static constexpr Duration kKeepFailed = seconds(1);
    static constexpr std::size_t kMaxEntries = 1024;

    HealthAccess(Reviews& reviews, const Clock& clock) : reviews_(reviews), clock_(clock) {}

    // Whether it is somebody's token, as far as is known without asking.
    bool knows(const std::string& token);
    Result<Identity> who(const std::string& token);
    Status may(const Identity& who, const ClusterKey& cluster, const std::string& verb);

  private:
    template <class T>
    struct Kept {
        Result<T> answer;
        TimePoint until;
    };
    template <class T>
    using Cache = std::map<std::string, Kept<T>>;

    template <class T, class Ask>
    Result<T> ask(Cache<T>& cache, const std::string& key, Ask ask);
    template <class T>
    Kept<T>* fresh(Cache<T>& cache, const std::string& key);  // requires the mutex, as the next
    template <class T>
    void make_room(Cache<T>& cache);
    Duration keep(const Result<Identity>& answer) const;
    Duration keep(const Result<bool>& answer) const;

    Reviews& reviews_;
    const Clock& clock_;
    std::mutex mutex_;
    Cache<Identity> identities_;  // guarded by mutex_, as the next
    Cache<bool> rights_;
};

}  // namespace matriarch::op
