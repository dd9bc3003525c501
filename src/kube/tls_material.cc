#include "kube/tls_material.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <vector>

namespace matriarch::kube {
namespace {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T* pointer) const {
        Free(pointer);
    }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

Bio reader(const std::string& pem) {
    return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::vector<Certificate> parse_certificates(const std::string& pem) {
    std::vector<Certificate> out;
    const Bio bio = reader(pem);
    while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
        out.emplace_back(one);
    }
    ERR_clear_error();  // "no start line" ends every file
    return out;
}

// An encrypted key must not ask on the terminal.
int no_password(char*, int, int, void*) {
    return 0;
}

Error invalid(const char* what) {
    return make_error(ErrorKind::Invalid, std::string("credentials: ") + what);
}

}  // namespace

struct TlsMaterial::Parsed {
    Store store;
    std::vector<Certificate> chain;
    Key key;
};

TlsMaterial::TlsMaterial() : parsed_(std::make_unique<Parsed>()) {}
TlsMaterial::~TlsMaterial() = default;

Result<std::shared_ptr<const TlsMaterial>> TlsMaterial::parse(const Credentials& credentials) {
    std::shared_ptr<TlsMaterial> out(new TlsMaterial());
    Parsed& parsed = *out->parsed_;
    parsed.store.reset(X509_STORE_new());
    if (credentials.ca_pem.empty()) {
        // Explicitly, since prepare_process() keeps the library from doing so.
        X509_STORE_load_file(parsed.store.get(), X509_get_default_cert_file());
        X509_STORE_load_path(parsed.store.get(), X509_get_default_cert_dir());
        ERR_clear_error();  // none are installed: then nobody is trusted
    } else {
        const std::vector<Certificate> authorities = parse_certificates(credentials.ca_pem);
        if (authorities.empty()) return invalid("no certificate in certificate-authority");
        for (const Certificate& one : authorities)
            X509_STORE_add_cert(parsed.store.get(), one.get());
        // Go trusts every certificate of the bundle, also one that is no root.
        X509_STORE_set_flags(parsed.store.get(), X509_V_FLAG_PARTIAL_CHAIN);
    }
    if (!credentials.client_cert_pem.empty()) {
        parsed.chain = parse_certificates(credentials.client_cert_pem);
        if (parsed.chain.empty()) return invalid("no certificate in client-certificate");
        const Bio bio = reader(credentials.client_key_pem);
        parsed.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
        ERR_clear_error();
        if (!parsed.key) return invalid("no readable private key in client-key");
        if (X509_check_private_key(parsed.chain.front().get(), parsed.key.get()) != 1) {
            ERR_clear_error();
            return invalid("client-key does not belong to client-certificate");
        }
    }
    return std::shared_ptr<const TlsMaterial>(std::move(out));
}

bool TlsMaterial::apply(ssl_ctx_st* context) const {
    bool ok = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    X509_STORE_up_ref(parsed_->store.get());  // the context takes one reference
    SSL_CTX_set_cert_store(context, parsed_->store.get());
    if (parsed_->key) {
        ok = ok && SSL_CTX_use_certificate(context, parsed_->chain.front().get()) == 1;
        for (std::size_t i = 1; i < parsed_->chain.size(); ++i) {
            ok = ok && SSL_CTX_add1_chain_cert(context, parsed_->chain[i].get()) == 1;
        }
        ok = ok && SSL_CTX_use_PrivateKey(context, parsed_->key.get()) == 1;
    }
    return ok;
}

}  // namespace matriarch::kube
