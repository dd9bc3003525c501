// Small cryptographic helpers: digests, base64, PostgreSQL's SCRAM verifier, comparison of secrets.
//
// The operator stores SCRAM verifiers, so a password need not travel in an ALTER ROLE statement,
// where it would reach logs. Pure functions; safe from any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace matriarch::net {

std::string sha256(std::string_view data);      // 32 raw bytes
std::string sha256_hex(std::string_view data);  // 64 lower-case hex digits
std::string hmac_sha256(std::string_view key, std::string_view data);

std::string base64_encode(std::string_view data);
// Invalid for anything but padded base64; line breaks are allowed.
Result<std::string> base64_decode(std::string_view text);

// Takes the same time wherever the first difference is. Lengths are no secret.
bool constant_time_equal(std::string_view a, std::string_view b);

// SCRAM_SHA_256_DEFAULT_ITERATIONS and SCRAM_DEFAULT_SALT_LEN of PostgreSQL's scram-common.h.
inline constexpr int kScramIterations = 4096;
inline constexpr std::size_t kScramSaltBytes = 16;

// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>" (RFC 5802, 3; RFC 7677), as
// pg_authid.rolpassword has it. `salt` is raw bytes. Invalid for an empty password and for one with
// bytes outside ASCII: PostgreSQL would normalise those by SASLprep, which we do not.
Result<std::string> scram_verifier(std::string_view password, std::string_view salt,
                                   int iterations = kScramIterations);

// Whether `verifier` belongs to `password`; Invalid if it is no verifier.
Result<bool> scram_matches(std::string_view verifier, std::string_view password);

}  // namespace matriarch::net
