// The model of PostgreSQL against PostgreSQL: each scenario runs on both and must tell the same.
#include <gtest/gtest.h>

#include <functional>

#include "rig.h"

namespace matriarch::sim {
namespace {

using Story = std::string;

// What one sees of an instance that runs.
Story look(Rig& rig, const std::string& name) {
    return name + ": timeline " + std::to_string(rig.timeline(name)) + ", " +
           std::to_string(rig.rows(name)) + " rows; ";
}

Story try_to_follow(Rig& rig, const std::string& name, const std::string& upstream) {
    const bool follows = rig.follows(name, upstream);
    return name + (follows ? " follows " : " can't follow ") + upstream + "; ";
}

// a is master, b and c stream from it, all have ten rows.
void found(Rig& rig) {
    rig.initialize("a");
    rig.start_as_master("a");
    for (const char* slave : {"b", "c"}) {
        rig.clone(slave, "a");
        rig.start_as_slave(slave, "a");
        ASSERT_TRUE(rig.follows(slave, "a"));
    }
    rig.write("a", 10);
    for (const char* slave : {"b", "c"}) ASSERT_TRUE(rig.follows(slave, "a"));
}

void agree(const std::function<Story(Rig&)>& scenario) {
    const auto run = [&](const std::unique_ptr<Rig>& rig) {
        found(*rig);
        return scenario(*rig);
    };
    EXPECT_EQ(run(make_model_rig()), run(make_real_rig()));
}

TEST(ModelOfPostgres, GivenAMasterThatDied_WhenASlaveIsPromoted_ThenAllFollowItWithoutRewind) {
    agree([](Rig& rig) {
        rig.kill("a");
        rig.promote("b");
        rig.write("b", 5);
        rig.kill("c");
        rig.start_as_slave("c", "b");
        rig.start_as_slave("a", "b");
        Story story = try_to_follow(rig, "c", "b") + try_to_follow(rig, "a", "b");
        return story + look(rig, "b") + look(rig, "c") + look(rig, "a");
    });
}

TEST(ModelOfPostgres, GivenAMasterThatStoppedCleanly_WhenASlaveIsPromoted_ThenItFollows) {
    agree([](Rig& rig) {
        rig.write("a", 5);
        rig.stop("a");
        rig.promote("b");
        rig.start_as_slave("a", "b");
        return try_to_follow(rig, "a", "b") + look(rig, "b") + look(rig, "a");
    });
}

TEST(ModelOfPostgres, GivenRowsThatNoSlaveHas_WhenTheirMasterComesBack_ThenOnlyARewindHelps) {
    agree([](Rig& rig) {
        rig.kill("b");
        rig.kill("c");
        rig.write("a", 7);
        rig.kill("a");
        rig.start_as_slave("b", "a");
        rig.promote("b");
        rig.write("b", 2);
        rig.start_as_slave("a", "b");
        Story story = try_to_follow(rig, "a", "b");
        rig.kill("a");
        rig.rewind("a", "b");
        rig.start_as_slave("a", "b");
        story += try_to_follow(rig, "a", "b");
        return story + look(rig, "b") + look(rig, "a");
    });
}

TEST(ModelOfPostgres, GivenReservedNumbers_WhenPromoted_ThenTheNextOneIsOpenedAndOthersFollow) {
    agree([](Rig& rig) {
        rig.kill("a");
        rig.reserve("b", 4);
        rig.promote("b");
        rig.write("b", 3);
        rig.start_as_slave("a", "b");
        return try_to_follow(rig, "a", "b") + look(rig, "b") + look(rig, "a");
    });
}

TEST(ModelOfPostgres, GivenASlaveOfAnOlderTimeline_WhenAMasterOfTwoLater_ThenItFollows) {
    agree([](Rig& rig) {
        rig.kill("c");
        rig.kill("a");
        rig.promote("b");
        rig.write("b", 1);
        rig.start_as_slave("a", "b");
        Story story = try_to_follow(rig, "a", "b");
        rig.kill("b");
        rig.promote("a");
        rig.write("a", 1);
        rig.start_as_slave("c", "a");
        story += try_to_follow(rig, "c", "a");
        return story + look(rig, "a") + look(rig, "c");
    });
}

TEST(ModelOfPostgres, GivenASlaveOfASlave_WhenItsUpstreamIsPromoted_ThenItGoesOn) {
    agree([](Rig& rig) {
        rig.kill("c");
        rig.start_as_slave("c", "b");
        Story story = try_to_follow(rig, "c", "b");
        rig.kill("a");
        rig.promote("b");
        rig.write("b", 4);
        story += try_to_follow(rig, "c", "b");
        return story + look(rig, "b") + look(rig, "c");
    });
}

}  // namespace
}  // namespace matriarch::sim
