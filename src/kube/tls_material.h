// TlsMaterial: trusted authorities and our own certificate, parsed once, put into many connections.
//
// Internal to kube. Immutable after parse(), so safe from any thread.
#pragma once

#include <memory>

#include "base/error.h"
#include "kube/credentials.h"

struct ssl_ctx_st;  // SSL_CTX

namespace matriarch::kube {

class TlsMaterial {
  public:
    // Invalid, naming what does not parse.
    static Result<std::shared_ptr<const TlsMaterial>> parse(const Credentials& credentials);
    ~TlsMaterial();

    // Replaces the context's trust store by the cluster's authorities, or, if none were given, by
    // the system's: with these beside those any public authority could impersonate the API server.
    // False if OpenSSL refuses.
    bool apply(ssl_ctx_st* context) const;

  private:
    struct Parsed;
    TlsMaterial();
    std::unique_ptr<Parsed> parsed_;
};

}  // namespace matriarch::kube
