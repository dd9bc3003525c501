// What a parsed TlsIdentity holds. Internal to src/net.
#pragma once

#include <vector>

#include "net/openssl_util.h"
#include "net/tls.h"

namespace matriarch::net {

struct TlsIdentity::Impl {
    X509Ptr certificate;         // null: a client without one
    std::vector<X509Ptr> chain;  // the intermediates after it
    PkeyPtr key;
    X509StorePtr trusted;
    WallTime not_after = WallTime::max();
};

}  // namespace matriarch::net
