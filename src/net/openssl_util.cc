#include "net/openssl_util.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace matriarch::net {

namespace {

BioPtr memory_bio(std::string_view text) {
    return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Without this OpenSSL would ask the terminal for the passphrase of an encrypted key.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

std::string text_of(const ASN1_STRING* value) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
            static_cast<std::size_t>(ASN1_STRING_length(value))};
}

std::string ip_text(const ASN1_STRING* value) {
    char out[INET6_ADDRSTRLEN] = {};
    const int family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && ASN1_STRING_length(value) != 16) return {};
    inet_ntop(family, ASN1_STRING_get0_data(value), out, sizeof out);
    return out;
}

}  // namespace

void OpensslDeleter::operator()(x509_st* object) const {
    X509_free(object);
}
void OpensslDeleter::operator()(x509_store_st* object) const {
    X509_STORE_free(object);
}
void OpensslDeleter::operator()(evp_pkey_st* object) const {
    EVP_PKEY_free(object);
}
void OpensslDeleter::operator()(bio_st* object) const {
    BIO_free_all(object);
}

std::string openssl_errors() {
    std::string out;
    while (const auto code = ERR_get_error()) {
        // The reason alone where there is one: the full string names source functions.
        const char* reason = ERR_reason_error_string(code);
        char full[256];
        if (reason == nullptr) {
            ERR_error_string_n(code, full, sizeof full);
            reason = full;
        }
        if (!out.empty()) out += "; ";
        out += reason;
    }
    return out;
}

Error openssl_error(ErrorKind kind, std::string what) {
    return make_error(kind, std::move(what), openssl_errors());
}

Result<std::vector<X509Ptr>> read_certificates(std::string_view pem) {
    ERR_clear_error();
    std::vector<X509Ptr> out;
    const BioPtr bio = memory_bio(pem);
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr))
        out.emplace_back(certificate);
    // The end of the text shows as "no start line"; anything else is a broken certificate.
    const auto last = ERR_peek_last_error();
    if (out.empty() || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        return openssl_error(ErrorKind::Invalid, "no usable certificate in the PEM text");
    ERR_clear_error();
    return out;
}

Result<PkeyPtr> read_key(std::string_view pem) {
    ERR_clear_error();
    const BioPtr bio = memory_bio(pem);
    PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    if (!key) return openssl_error(ErrorKind::Invalid, "no usable private key in the PEM text");
    return key;
}

std::string to_pem(x509_st* certificate) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

std::string common_name_of(x509_st* certificate) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (index < 0) return {};
    unsigned char* utf8 = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    if (size < 0) return {};
    std::string out(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    return out;
}

SubjectNames subject_names_of(x509_st* certificate) {
    SubjectNames out;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) out.dns.push_back(text_of(name->d.dNSName));
        if (name->type == GEN_IPADD) out.ip.push_back(ip_text(name->d.iPAddress));
    }
    GENERAL_NAMES_free(names);
    return out;
}

}  // namespace matriarch::net
