#include "net/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <charconv>

namespace matriarch::net {

namespace {

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}

struct Verifier {
    int iterations = 0;
    std::string salt;
    std::string stored_key;
    std::string server_key;
};

Result<Verifier> parse_verifier(std::string_view text) {
    const auto bad = [](std::string why) {
        return make_error(ErrorKind::Invalid, "no SCRAM-SHA-256 verifier", std::move(why));
    };
    constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
    if (!text.starts_with(kPrefix)) return bad("another prefix");
    text.remove_prefix(kPrefix.size());
    const auto colon = text.find(':');
    const auto dollar = text.find('$');
    const auto second = text.find(':', dollar == text.npos ? text.size() : dollar);
    if (colon == text.npos || dollar == text.npos || colon > dollar || second == text.npos)
        return bad("fields are missing");
    Verifier out;
    const auto number = text.substr(0, colon);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), out.iterations);
    if (error != std::errc() || end != number.data() + number.size() || out.iterations < 1)
        return bad("iterations");
    const auto salt = base64_decode(text.substr(colon + 1, dollar - colon - 1));
    const auto stored = base64_decode(text.substr(dollar + 1, second - dollar - 1));
    const auto server = base64_decode(text.substr(second + 1));
    if (!salt || !stored || !server || stored->size() != 32 || server->size() != 32)
        return bad("base64");
    out.salt = *salt;
    out.stored_key = *stored;
    out.server_key = *server;
    return out;
}

}  // namespace

std::string sha256(std::string_view data) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    SHA256(bytes(data), data.size(), bytes(out));
    return out;
}

std::string sha256_hex(std::string_view data) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const char c : sha256(data)) {
        const auto byte = static_cast<unsigned char>(c);
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(data), data.size(),
         bytes(out), &size);
    return out;
}

std::string base64_encode(std::string_view data) {
    std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
    const int size = EVP_EncodeBlock(bytes(out), bytes(data), static_cast<int>(data.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

Result<std::string> base64_decode(std::string_view text) {
    std::string compact;
    for (const char c : text)
        if (c != '\n' && c != '\r') compact += c;
    const auto bad = [] { return make_error(ErrorKind::Invalid, "no base64 text"); };
    if (compact.size() % 4 != 0) return bad();
    std::size_t padding = 0;
    while (padding < 2 && padding < compact.size() && compact[compact.size() - 1 - padding] == '=')
        ++padding;
    // EVP_DecodeBlock also takes blanks around the text and '=' within it.
    for (std::size_t i = 0; i < compact.size() - padding; ++i) {
        const char c = compact[i];
        const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '/') return bad();
    }
    std::string out(compact.size() / 4 * 3 + 1, '\0');
    const int size = EVP_DecodeBlock(bytes(out), bytes(compact), static_cast<int>(compact.size()));
    if (size < 0) return bad();
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::string> scram_verifier(std::string_view password, std::string_view salt,
                                   int iterations) {
    if (password.empty() || salt.empty() || iterations < 1)
        return make_error(ErrorKind::Invalid, "a SCRAM verifier needs a password and a salt");
    for (const char c : password)
        if (static_cast<unsigned char>(c) > 0x7e || static_cast<unsigned char>(c) < 0x20)
            return make_error(ErrorKind::Invalid,
                              "a password may have printable ASCII characters only");
    // RFC 5802, 3: SaltedPassword := Hi(password, salt, i), which is PBKDF2 with one block.
    std::string salted(SHA256_DIGEST_LENGTH, '\0');
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes(salt),
                          static_cast<int>(salt.size()), iterations, EVP_sha256(),
                          static_cast<int>(salted.size()), bytes(salted)) != 1)
        return make_error(ErrorKind::Bug, "PBKDF2 failed");
    const std::string stored_key = sha256(hmac_sha256(salted, "Client Key"));
    const std::string server_key = hmac_sha256(salted, "Server Key");
    return "SCRAM-SHA-256$" + std::to_string(iterations) + ':' + base64_encode(salt) + '$' +
           base64_encode(stored_key) + ':' + base64_encode(server_key);
}

Result<bool> scram_matches(std::string_view verifier, std::string_view password) {
    const auto parsed = parse_verifier(verifier);
    if (!parsed) return parsed.error();
    const auto own = scram_verifier(password, parsed->salt, parsed->iterations);
    if (!own) return own.error();
    const auto mine = parse_verifier(*own);
    return constant_time_equal(mine->stored_key, parsed->stored_key) &&
           constant_time_equal(mine->server_key, parsed->server_key);
}

}  // namespace matriarch::net
