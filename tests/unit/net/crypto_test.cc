// Digests, base64 and SCRAM verifiers against published and PostgreSQL's own values.
#include "net/crypto.h"

#include <gtest/gtest.h>

namespace matriarch::net {
namespace {

TEST(Digests, GivenKnownInputs_WhenHashed_ThenTheStandardsValuesResult) {
    // FIPS 180-2, B.1; RFC 4231, test case 2.
    EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
              sha256_hex("abc"));
    std::string hex;
    for (const char c : hmac_sha256("Jefe", "what do ya want for nothing?")) {
        char two[3];
        snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        hex += two;
    }
    EXPECT_EQ("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", hex);
}

TEST(Base64, GivenTheVectorsOfRfc4648_WhenEncodedAndDecoded_ThenTheyMatch) {
    const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                            {"f", "Zg=="},
                                                            {"fo", "Zm8="},
                                                            {"foo", "Zm9v"},
                                                            {"foob", "Zm9vYg=="},
                                                            {"fooba", "Zm9vYmE="},
                                                            {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : kVectors) {
        EXPECT_EQ(encoded, base64_encode(plain));
        EXPECT_EQ(plain, *base64_decode(encoded));
    }
    EXPECT_EQ("foobar", *base64_decode("Zm9v\nYmFy\n"));
}

TEST(Base64, GivenNoBase64_WhenDecoded_ThenInvalid) {
    for (const char* text : {"Zg=", "Zg", "Z===", "====", "Zm 9", "Zg==Zg==", "Z\xc3\xa9 "})
        EXPECT_FALSE(base64_decode(text)) << text;
}

TEST(Scram, GivenTheExchangeOfRfc7677_WhenVerified_ThenItsProofFits) {
    // RFC 7677, 3: user "user", password "pencil". Its ServerSignature is HMAC(ServerKey,
    // AuthMessage), so the verifier's ServerKey must reproduce the published v=….
    const auto salt = *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
    const auto verifier = *scram_verifier("pencil", salt);
    const auto server_key = *base64_decode(verifier.substr(verifier.rfind(':') + 1));
    const std::string auth_message =
        "n=user,r=rOprNGfwEbeRWgbNEkqO,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    EXPECT_EQ("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
              base64_encode(hmac_sha256(server_key, auth_message)));
}

TEST(Scram, GivenVerifiersThatPostgresMade_WhenMadeWithTheirSalt_ThenTheyAreTheSame) {
    // rolpassword of PostgreSQL 15 after CREATE ROLE … PASSWORD '…'.
    struct {
        const char* password;
        const char* salt;
        const char* verifier;
    } const kVectors[] = {
        {"correct horse battery", "Ftge5YiWx6Mdkau5MqtYHg==",
         "SCRAM-SHA-256$4096:Ftge5YiWx6Mdkau5MqtYHg==$1ptnblzle4wspOiQqhGPWlt2GOK7e91qKez6Ql4P8z4=:"
         "H/AGJtQYAyTpVcEtTbe2sDg17vz1T32zYEndi2WDqFw="},
        {"S3cret:$with,=chars", "TlaQhIs3yTGsZRHiUubrYA==",
         "SCRAM-SHA-256$4096:TlaQhIs3yTGsZRHiUubrYA==$uJjoDtpal/cKQZCfGM0upi4twffoFwq0L9Jx+/JlWD4=:"
         "8V2nb9nVNx00FUVnI3HAHb2vFBqS8iGKk02TSvJA+w8="}};
    for (const auto& vector : kVectors) {
        EXPECT_EQ(vector.verifier, *scram_verifier(vector.password, *base64_decode(vector.salt)));
        EXPECT_TRUE(*scram_matches(vector.verifier, vector.password));
        EXPECT_FALSE(*scram_matches(vector.verifier, "another"));
    }
}

TEST(Scram, GivenPasswordsThatPostgresWouldNormalise_WhenAVerifierIsMade_ThenInvalid) {
    EXPECT_FALSE(scram_verifier("", "0123456789abcdef"));
    EXPECT_FALSE(scram_verifier("p\xc3\xa4ss", "0123456789abcdef"));
    EXPECT_FALSE(scram_verifier("a\nb", "0123456789abcdef"));
}

TEST(Scram, GivenAMangledVerifier_WhenMatched_ThenInvalid) {
    for (const char* text :
         {"", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:c2FsdA==$x",
          "SCRAM-SHA-256$x:c2FsdA==$YQ==:YQ==", "SCRAM-SHA-256$4096:c2FsdA==$YQ==:YQ=="})
        EXPECT_FALSE(scram_matches(text, "secret")) << text;
}

TEST(ConstantTime, GivenTexts_WhenCompared_ThenEqualOnlyIfEqual) {
    EXPECT_TRUE(constant_time_equal("abc", "abc"));
    EXPECT_FALSE(constant_time_equal("abc", "abd"));
    EXPECT_FALSE(constant_time_equal("abc", "ab"));
    EXPECT_TRUE(constant_time_equal("", ""));
}

}  // namespace
}  // namespace matriarch::net
