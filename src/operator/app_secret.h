// The Secret <cluster>-app: the application's password, and every URI that holds it.
//
// A password that is there is kept, whoever put it there: changing it in the Secret changes it in
// the database. URIs are made anew each time, likely master first. Fails with Invalid for a
// password that PostgreSQL's verifier can't take (empty or not ASCII). Any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "model/routes.h"
#include "operator/cluster.h"

namespace matriarch::op {

inline constexpr int kPasswordLength = 32;

// Keys of the Secret that are no environment variables.
inline constexpr std::string_view kPasswordKey = "password";
inline constexpr std::string_view kVerifierKey = "verifier";  // SCRAM, for InstanceConfig::roles

// How applications and poolers reach databases that run elsewhere.
struct ExternalLogin {
    std::string user, password;
    std::string ca_pem;  // empty: of no particular CA
};

// A password and its verifier: those of `former`, or new ones. Invalid for a password that
// PostgreSQL can't store.
Result<StringMap> keep_login(const StringMap& former, Random& random);

// What the Secret should hold, given what it holds (`former`, empty if there is none). Randomness
// is used only for a password or a verifier that is missing; otherwise equal inputs give equal
// outputs. `hosts` as in UriParts: pod names, likely master first; `read_hosts` slaves first.
Result<StringMap> merge_app_secret(const Cluster& cluster, const std::vector<std::string>& hosts,
                                   const std::vector<std::string>& read_hosts,
                                   const std::string& ca_pem, const StringMap& former,
                                   Random& random);

nlohmann::json app_secret_object(const Cluster& cluster, const StringMap& data);

// Any Secret of ours; values are encoded here. Without a content hash: an annotation is readable
// for many, and would let them try weak passwords. The data itself is compared.
nlohmann::json secret_object(const Cluster& cluster, const std::string& name, std::string_view type,
                             std::string_view component, const StringMap& data);

}  // namespace matriarch::op
