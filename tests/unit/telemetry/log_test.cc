// Log lines as machines and people read them.
#include "telemetry/log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

namespace matriarch::telemetry {
namespace {

class FixedClock final : public Clock {
  public:
    TimePoint now() const override { return {}; }
    WallTime wall() const override { return WallTime(seconds(1700000000)); }
};

struct InstanceName : StringId<InstanceName> {
    using StringId::StringId;
};

class Log : public ::testing::Test {
  protected:
    void SetUp() override { use(log::Format::Json); }
    void TearDown() override { log::configure({}); }
    void use(log::Format format, log::Level level = log::Level::Info) {
        log::Options options;
        options.format = format;
        options.level = level;
        options.clock = &clock_;
        options.sink = [this](std::string_view line) { lines_.emplace_back(line); };
        log::configure(std::move(options));
    }
    nlohmann::json last() const { return nlohmann::json::parse(lines_.back()); }

    FixedClock clock_;
    std::vector<std::string> lines_;
};

TEST_F(Log, GivenFieldsOfEveryType_WhenWrittenAsJson_ThenOneObjectALine) {
    log::info("promoted", {{"cluster", std::string("shop/orders")},
                           {"instance", InstanceName("orders-2")},
                           {"epoch", 7u},
                           {"delta", -3},
                           {"took_ms", milliseconds(250)},
                           {"share", 0.5},
                           {"sync", true}});
    ASSERT_EQ(1u, lines_.size());
    const auto line = last();
    EXPECT_EQ("2023-11-14T22:13:20.000000Z", line["ts"]);
    EXPECT_EQ("info", line["level"]);
    EXPECT_EQ("promoted", line["msg"]);
    EXPECT_EQ("shop/orders", line["cluster"]);
    EXPECT_EQ("orders-2", line["instance"]);
    EXPECT_EQ(7, line["epoch"]);
    EXPECT_EQ(-3, line["delta"]);
    EXPECT_EQ(250.0, line["took_ms"]);
    EXPECT_EQ(0.5, line["share"]);
    EXPECT_EQ(true, line["sync"]);
}

TEST_F(Log, GivenHostileText_WhenWrittenAsJson_ThenTheLineStaysOneValidObject) {
    log::warn("a \"quote\"\nand\tmore", {{"bytes", std::string("\xff\xfe\0\x01", 4)},
                                         {"utf8", "gr\xc3\xbc\xc3\x9f"},
                                         {"a\"b", "c\\d"},
                                         {"nan", std::nan("")},
                                         {"inf", std::numeric_limits<double>::infinity()}});
    EXPECT_EQ(std::string::npos, lines_.back().find('\n'));
    const auto line = last();
    EXPECT_EQ("a \"quote\"\nand\tmore", line["msg"]);
    EXPECT_EQ("gr\xc3\xbc\xc3\x9f", line["utf8"]);
    EXPECT_EQ("c\\d", line["a\"b"]);
    EXPECT_TRUE(line["nan"].is_null());
    EXPECT_TRUE(line["inf"].is_null());
}

TEST_F(Log, GivenALevel_WhenLowerOnesAreWritten_ThenNothingComes) {
    use(log::Format::Json, log::Level::Warn);
    log::debug("x");
    log::info("x");
    EXPECT_TRUE(lines_.empty());
    log::warn("x");
    log::error("x");
    EXPECT_EQ(2u, lines_.size());
    EXPECT_FALSE(log::enabled(log::Level::Info));
}

TEST_F(Log, GivenScopes_WhenNested_ThenTheirFieldsAreInEveryLineOfThisThread) {
    const log::Scope outer{{"cluster", "shop/orders"}};
    {
        const log::Scope inner{{"reconcile_id", std::string("abc")}};
        log::info("in");
        EXPECT_EQ("shop/orders", last()["cluster"]);
        EXPECT_EQ("abc", last()["reconcile_id"]);
    }
    log::info("out");
    EXPECT_TRUE(last().contains("cluster"));
    EXPECT_FALSE(last().contains("reconcile_id"));
    std::thread([] { log::info("elsewhere"); }).join();
    EXPECT_FALSE(last().contains("cluster"));
}

TEST_F(Log, GivenAnError_WhenLogged_ThenKindAndTextAreFields) {
    const auto error = make_error(ErrorKind::OutcomeUnknown, "promote orders-2", "lost");
    log::error("order failed", error, {{"epoch", 3}});
    EXPECT_EQ("error", last()["level"]);
    EXPECT_EQ("OutcomeUnknown", last()["error_kind"]);
    EXPECT_EQ("promote orders-2: lost", last()["error"]);
    EXPECT_EQ(3, last()["epoch"]);
}

TEST_F(Log, GivenTheConsoleFormat_WhenWritten_ThenALineForPeople) {
    use(log::Format::Console);
    log::info("promoted", {{"cluster", "orders"}, {"why", "master is gone"}, {"epoch", 4}});
    EXPECT_EQ(
        "2023-11-14T22:13:20.000000Z INFO  promoted cluster=orders why=\"master is gone\" epoch=4",
        lines_.back());
    log::error("two\nlines");
    EXPECT_EQ("2023-11-14T22:13:20.000000Z ERROR \"two\\nlines\"", lines_.back());
}

TEST(LogOptions, GivenNames_WhenParsed_ThenKnownOrInvalid) {
    EXPECT_EQ(log::Level::Warn, *log::parse_level("warning"));
    EXPECT_EQ(log::Level::Debug, *log::parse_level("debug"));
    EXPECT_FALSE(log::parse_level("loud"));
    EXPECT_EQ(log::Format::Console, *log::parse_format("console"));
    EXPECT_FALSE(log::parse_format("xml"));
}

TEST(LogThreads, GivenManyThreads_WhenTheyLogWhileItIsReconfigured_ThenNothingBreaks) {
    std::atomic<int> lines = 0;
    const auto options = [&] {
        log::Options out;
        out.sink = [&](std::string_view) { ++lines; };
        return out;
    };
    log::configure(options());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([t] {
            const log::Scope scope{{"thread", t}};
            for (int i = 0; i < 500; ++i) log::info("x", {{"i", i}});
        });
    for (int i = 0; i < 20; ++i) log::configure(options());
    for (auto& thread : threads) thread.join();
    log::configure({});
    EXPECT_EQ(2000, lines);
}

}  // namespace
}  // namespace matriarch::telemetry
