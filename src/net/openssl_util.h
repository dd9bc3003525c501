// Ownership and errors of OpenSSL objects, for the .cc files of src/net that speak to it. Internal.
//
// OpenSSL's types are only named here, not included: struct x509_st is its X509.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct x509_st;
struct x509_store_st;
struct evp_pkey_st;
struct bio_st;

namespace matriarch::net {

struct OpensslDeleter {
    void operator()(x509_st* object) const;
    void operator()(x509_store_st* object) const;
    void operator()(evp_pkey_st* object) const;
    void operator()(bio_st* object) const;
};
using X509Ptr = std::unique_ptr<x509_st, OpensslDeleter>;
using X509StorePtr = std::unique_ptr<x509_store_st, OpensslDeleter>;
using PkeyPtr = std::unique_ptr<evp_pkey_st, OpensslDeleter>;
using BioPtr = std::unique_ptr<bio_st, OpensslDeleter>;

// The queued errors as text; empties the queue.
std::string openssl_errors();
Error openssl_error(ErrorKind kind, std::string what);

// All certificates of a PEM text; Invalid if there is none or one is broken.
Result<std::vector<X509Ptr>> read_certificates(std::string_view pem);
Result<PkeyPtr> read_key(std::string_view pem);
std::string to_pem(x509_st* certificate);

std::string common_name_of(x509_st* certificate);
struct SubjectNames {
    std::vector<std::string> dns;
    std::vector<std::string> ip;
};
SubjectNames subject_names_of(x509_st* certificate);

}  // namespace matriarch::net
