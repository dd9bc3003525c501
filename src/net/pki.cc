#include "net/pki.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <algorithm>

#include "net/openssl_util.h"

namespace matriarch::net {

namespace {

// RFC 5280, A.1: ub-common-name.
constexpr std::size_t kLongestCommonName = 64;

WallTime to_wall(const ASN1_TIME* time) {
    tm utc{};
    ASN1_TIME_to_tm(time, &utc);
    return std::chrono::system_clock::from_time_t(timegm(&utc));
}

std::string key_pem(EVP_PKEY* key) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

// 127 random bits: positive, and far beyond what RFC 5280, 4.1.2.2 calls for.
bool set_serial(X509* certificate, Random& random) {
    unsigned char bytes[16];
    for (std::size_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = static_cast<unsigned char>(random.below(256));
    bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
    BIGNUM* number = BN_bin2bn(bytes, sizeof bytes, nullptr);
    const bool done = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
    BN_free(number);
    return done;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    if (extension == nullptr) return false;
    const bool done = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

// Built from parts, never as "DNS:a,IP:b" text, in which a name could smuggle in another one.
Status add_names(X509* certificate, const CertificateSpec& spec) {
    GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
    Status out;
    const auto add = [&](int type, const void* data, std::size_t size) {
        GENERAL_NAME* name = GENERAL_NAME_new();
        ASN1_STRING* value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
        ASN1_STRING_set(value, data, static_cast<int>(size));
        GENERAL_NAME_set0_value(name, type, value);
        sk_GENERAL_NAME_push(names, name);
    };
    for (const auto& dns : spec.dns_names) add(GEN_DNS, dns.data(), dns.size());
    for (const auto& ip : spec.ip_addresses) {
        unsigned char bytes[16];
        if (inet_pton(AF_INET, ip.c_str(), bytes) == 1)
            add(GEN_IPADD, bytes, 4);
        else if (inet_pton(AF_INET6, ip.c_str(), bytes) == 1)
            add(GEN_IPADD, bytes, 16);
        else
            out = make_error(ErrorKind::Invalid, "no IP address for a certificate: " + ip);
    }
    if (out && sk_GENERAL_NAME_num(names) > 0 &&
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
        out = openssl_error(ErrorKind::Bug, "subject names");
    GENERAL_NAMES_free(names);
    return out;
}

struct Draft {
    X509Ptr certificate;
    PkeyPtr key;
};

// Everything but issuer, extensions and signature.
Result<Draft> draft(const std::string& common_name, WallTime from, WallTime until, Random& random) {
    if (common_name.empty() || common_name.size() > kLongestCommonName)
        return make_error(ErrorKind::Invalid,
                          "a certificate's common name must have 1 to 64 bytes: " + common_name);
    Draft out{X509Ptr(X509_new()), PkeyPtr(EVP_EC_gen("P-256"))};
    X509* certificate = out.certificate.get();
    if (certificate == nullptr || !out.key)
        return openssl_error(ErrorKind::Bug, "can't make a key");
    X509_set_version(certificate, X509_VERSION_3);
    X509_set_pubkey(certificate, out.key.get());
    const bool named = X509_NAME_add_entry_by_NID(
                           X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8,
                           reinterpret_cast<const unsigned char*>(common_name.data()),
                           static_cast<int>(common_name.size()), -1, 0) == 1;
    if (!named) return openssl_error(ErrorKind::Invalid, "common name " + common_name);
    if (!set_serial(certificate, random) ||
        ASN1_TIME_set(X509_getm_notBefore(certificate),
                      std::chrono::system_clock::to_time_t(from)) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(certificate),
                      std::chrono::system_clock::to_time_t(until)) == nullptr)
        return openssl_error(ErrorKind::Bug, "serial number or validity");
    return out;
}

WallTime plus(WallTime from, Duration duration) {
    return from + std::chrono::duration_cast<WallTime::duration>(duration);
}

const char* extended_use(CertificateUse use) {
    switch (use) {
        case CertificateUse::Server:
            return "serverAuth";
        case CertificateUse::Client:
            return "clientAuth";
        case CertificateUse::Both:
            break;
    }
    return "serverAuth,clientAuth";
}

CertificateInfo info_of(X509* certificate) {
    CertificateInfo out;
    out.common_name = common_name_of(certificate);
    auto names = subject_names_of(certificate);
    out.dns_names = std::move(names.dns);
    out.ip_addresses = std::move(names.ip);
    out.not_before = to_wall(X509_get0_notBefore(certificate));
    out.not_after = to_wall(X509_get0_notAfter(certificate));
    out.is_ca = X509_check_ca(certificate) == 1;
    BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
    if (char* hex = BN_bn2hex(number)) {
        out.serial = hex;
        OPENSSL_free(hex);
    }
    BN_free(number);
    return out;
}

}  // namespace

Result<KeyPair> create_ca(const std::string& common_name, Duration lifetime, const Clock& clock,
                          Random& random) {
    ERR_clear_error();
    const auto now = clock.wall();
    auto made = draft(common_name, plus(now, -kClockSkewAllowance), plus(now, lifetime), random);
    if (!made) return made.error();
    X509* certificate = made->certificate.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    // The key identifiers tell two CAs of the same name apart in a rollover.
    if (!add_extension(certificate, certificate, NID_basic_constraints,
                       "critical,CA:TRUE,pathlen:0") ||
        !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, certificate, NID_authority_key_identifier, "keyid:always") ||
        X509_sign(certificate, made->key.get(), EVP_sha256()) == 0)
        return openssl_error(ErrorKind::Bug, "can't make a CA");
    return KeyPair{to_pem(certificate), key_pem(made->key.get())};
}

Result<KeyPair> issue_certificate(const KeyPair& ca, const CertificateSpec& spec,
                                  const Clock& clock, Random& random) {
    ERR_clear_error();
    const auto authorities = read_certificates(ca.certificate_pem);
    if (!authorities) return authorities.error();
    const auto authority_key = read_key(ca.key_pem);
    if (!authority_key) return authority_key.error();
    X509* issuer = authorities->front().get();
    if (X509_check_private_key(issuer, authority_key->get()) != 1)
        return openssl_error(ErrorKind::Invalid, "the CA's key and certificate do not match");

    const auto now = clock.wall();
    const auto until = std::min(plus(now, spec.lifetime), to_wall(X509_get0_notAfter(issuer)));
    if (until <= now) return make_error(ErrorKind::Invalid, "the CA's own certificate has expired");
    auto made = draft(spec.common_name, plus(now, -kClockSkewAllowance), until, random);
    if (!made) return made.error();
    X509* certificate = made->certificate.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    if (auto named = add_names(certificate, spec); !named) return named.error();
    if (!add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(certificate, issuer, NID_ext_key_usage, extended_use(spec.use)) ||
        !add_extension(certificate, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") ||
        X509_sign(certificate, authority_key->get(), EVP_sha256()) == 0)
        return openssl_error(ErrorKind::Bug, "can't issue a certificate");
    return KeyPair{to_pem(certificate), key_pem(made->key.get())};
}

bool CertificateInfo::renew_due(WallTime now) const {
    return now >= not_before + (not_after - not_before) / 3 * 2;
}

Result<CertificateInfo> parse_certificate(const std::string& pem) {
    const auto read = read_certificates(pem);
    if (!read) return read.error();
    return info_of(read->front().get());
}

Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem) {
    const auto read = read_certificates(pem);
    if (!read) return read.error();
    std::vector<CertificateInfo> out;
    for (const auto& certificate : *read) out.push_back(info_of(certificate.get()));
    return out;
}

Result<bool> signed_by(const std::string& certificate_pem, const std::string& ca_pem) {
    const auto certificates = read_certificates(certificate_pem);
    if (!certificates) return certificates.error();
    const auto authorities = read_certificates(ca_pem);
    if (!authorities) return authorities.error();
    X509* certificate = certificates->front().get();
    const bool found =
        std::any_of(authorities->begin(), authorities->end(), [&](const X509Ptr& authority) {
            return X509_check_issued(authority.get(), certificate) == X509_V_OK &&
                   X509_verify(certificate, X509_get0_pubkey(authority.get())) == 1;
        });
    ERR_clear_error();
    return found;
}

Result<std::string> ca_bundle(const std::string& new_ca_pem, const std::string& former_bundle_pem,
                              WallTime now) {
    const auto fresh = read_certificates(new_ca_pem);
    if (!fresh) return fresh.error();
    std::string out = to_pem(fresh->front().get());
    if (former_bundle_pem.empty()) return out;
    const auto former = read_certificates(former_bundle_pem);
    if (!former) return former.error();
    for (const auto& certificate : *former) {
        const auto pem = to_pem(certificate.get());
        if (out.find(pem) == out.npos && !info_of(certificate.get()).expired(now)) out += pem;
    }
    return out;
}

}  // namespace matriarch::net
