// What a failure to connect says of the server.
#include "postgres/connection.h"

#include <gtest/gtest.h>

namespace matriarch::postgres {
namespace {

Error failure(const std::string& text) {
    return make_error(ErrorKind::Unavailable, "cannot connect to PostgreSQL", text);
}
const std::string kBegin = "connection to server at \"10.0.0.1\", port 5432 failed: ";

TEST(TakesClients, GivenAnAnswerToThisClientAlone_WhenAsked_ThenTheServerTakesOthers) {
    EXPECT_TRUE(takes_clients(failure(kBegin + "FATAL:  28P01: password authentication failed")));
    EXPECT_TRUE(takes_clients(failure(kBegin + "FATAL:  53300: sorry, too many clients already")));
    EXPECT_TRUE(takes_clients(failure(kBegin + "FATALE:  3D000: la base n'existe pas")));
}

TEST(TakesClients, GivenAServerThatStartsOrEndsOrNobody_WhenAsked_ThenItTakesNone) {
    EXPECT_FALSE(
        takes_clients(failure(kBegin + "FATAL:  57P03: the database system is starting up")));
    EXPECT_FALSE(takes_clients(failure(kBegin + "FATAL:  57P01: terminating connection")));
    EXPECT_FALSE(takes_clients(failure(kBegin + "Connection refused")));
    EXPECT_FALSE(takes_clients(failure("SSL error:  certificate verify failed: see above")));
    EXPECT_FALSE(takes_clients(failure("")));
}

}  // namespace
}  // namespace matriarch::postgres
