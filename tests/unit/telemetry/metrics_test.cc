// Metrics as Prometheus reads them.
#include "telemetry/metrics.h"

#include <gtest/gtest.h>

#include <thread>

#include "telemetry/controller_metrics.h"

namespace matriarch::telemetry {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    return ('\n' + text).find('\n' + line + '\n') != std::string::npos;
}

TEST(Metrics, GivenSeries_WhenServed_ThenPrometheusTextInOrder) {
    Registry registry;
    registry.counter("matriarch_failovers_total", "Failovers", {{"cluster", "a\"b\n"}})
        .increment(2);
    registry.gauge("matriarch_lag_bytes", "Lag").set(1.5);
    const auto histogram = registry.histogram("matriarch_took_seconds", "Time", {0.1, 1});
    histogram.observe(0.05);
    histogram.observe(0.5);
    histogram.observe(5);
    const auto text = registry.text();
    EXPECT_TRUE(has_line(text, "# TYPE matriarch_failovers_total counter")) << text;
    EXPECT_TRUE(has_line(text, "# HELP matriarch_failovers_total Failovers"));
    EXPECT_TRUE(has_line(text, R"(matriarch_failovers_total{cluster="a\"b\n"} 2)")) << text;
    EXPECT_TRUE(has_line(text, "matriarch_lag_bytes 1.5"));
    EXPECT_TRUE(has_line(text, R"(matriarch_took_seconds_bucket{le="0.1"} 1)")) << text;
    EXPECT_TRUE(has_line(text, R"(matriarch_took_seconds_bucket{le="1"} 2)"));
    EXPECT_TRUE(has_line(text, R"(matriarch_took_seconds_bucket{le="+Inf"} 3)"));
    EXPECT_TRUE(has_line(text, "matriarch_took_seconds_count 3"));
    EXPECT_LT(text.find("matriarch_failovers"), text.find("matriarch_lag"));
}

TEST(Metrics, GivenTheSameNameAndLabels_WhenAskedTwice_ThenOneSeries) {
    Registry registry;
    registry.counter("x_total", "", {{"a", "1"}}).increment();
    registry.counter("x_total", "", {{"a", "1"}}).increment();
    EXPECT_EQ(2, registry.counter("x_total", "", {{"a", "1"}}).value());
    EXPECT_EQ(0, registry.counter("x_total", "", {{"a", "2"}}).value());
}

TEST(Metrics, GivenADeletedCluster_WhenRemoved_ThenItsSeriesGoAndItsHandlesStayUsable) {
    Registry registry;
    const auto gone = registry.counter("x_total", "", {{"cluster", "a"}, {"k", "1"}});
    registry.gauge("y", "", {{"cluster", "a"}});
    registry.gauge("y", "", {{"cluster", "b"}});
    EXPECT_EQ(2u, registry.remove({{"cluster", "a"}}));
    EXPECT_EQ(0u, registry.remove({}));
    gone.increment();
    const auto text = registry.text();
    EXPECT_EQ(std::string::npos, text.find("cluster=\"a\""));
    EXPECT_NE(std::string::npos, text.find("cluster=\"b\""));
    EXPECT_EQ(std::string::npos, text.find("x_total")) << "no head without a series";
}

TEST(Metrics, GivenACollector_WhenServed_ThenItsSamplesAppear) {
    Registry registry;
    registry.add_collector([](std::vector<Sample>& out) {
        for (const char* cluster : {"a", "b"})
            out.push_back({"z_bytes", "Z", SampleType::Gauge, {{"cluster", cluster}}, 4});
    });
    const auto text = registry.text();
    EXPECT_TRUE(has_line(text, R"(z_bytes{cluster="b"} 4)")) << text;
    EXPECT_EQ(text.find("# TYPE z_bytes"), text.rfind("# TYPE z_bytes"));
}

TEST(Metrics, GivenADefaultHandle_WhenUsed_ThenNothingHappens) {
    Counter().increment();
    Gauge().set(1);
    Histogram().observe(1);
}

TEST(Metrics, GivenThreads_WhenTheyCountAndServe_ThenNothingIsLost) {
    Registry registry;
    const auto counter = registry.counter("x_total", "");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 1000; ++i) {
                counter.increment();
                registry.gauge("y", "", {{"t", std::to_string(t)}}).set(i);
                if (i % 100 == 0) registry.text();
                if (i % 250 == 0) registry.remove({{"t", std::to_string(t)}});
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(4000, counter.value());
}

TEST(MetricsDeathTest, GivenABadNameOrTwoTypes_WhenAsked_ThenABug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Registry registry;
    registry.counter("x_total", "");
    EXPECT_DEATH(registry.gauge("x_total", ""), "two types");
    EXPECT_DEATH(registry.gauge("1x", ""), "well-formed");
}

TEST(ControllerMetrics, GivenAFreshRegistry_WhenServed_ThenAllLabelSetsReadZero) {
    Registry registry;
    const ReconcileMetrics reconcile(registry, "postgrescluster", 4);
    const WorkqueueMetrics queue(registry, "postgrescluster");
    const RestClientMetrics rest(registry, "10.0.0.1:443");
    const LeaderElectionMetrics leader(registry, "matriarch");
    const CertificateMetrics certificates(registry);
    rest.record(201, "POST", milliseconds(3));
    const auto text = registry.text();
    for (
        const char* line : {
            R"(controller_runtime_reconcile_total{controller="postgrescluster",result="success"} 0)",
            R"(controller_runtime_reconcile_total{controller="postgrescluster",result="error"} 0)",
            R"(controller_runtime_reconcile_total{controller="postgrescluster",result="requeue"} 0)",
            R"(controller_runtime_reconcile_total{controller="postgrescluster",result="requeue_after"} 0)",
            R"(controller_runtime_reconcile_errors_total{controller="postgrescluster"} 0)",
            R"(controller_runtime_terminal_reconcile_errors_total{controller="postgrescluster"} 0)",
            R"(controller_runtime_reconcile_panics_total{controller="postgrescluster"} 0)",
            R"(controller_runtime_reconcile_timeouts_total{controller="postgrescluster"} 0)",
            R"(controller_runtime_reconcile_time_seconds_count{controller="postgrescluster"} 0)",
            R"(controller_runtime_max_concurrent_reconciles{controller="postgrescluster"} 4)",
            R"(controller_runtime_active_workers{controller="postgrescluster"} 0)",
            R"(workqueue_depth{controller="postgrescluster",name="postgrescluster",priority="0"} 0)",
            R"(workqueue_adds_total{controller="postgrescluster",name="postgrescluster"} 0)",
            R"(workqueue_retries_total{controller="postgrescluster",name="postgrescluster"} 0)",
            R"(rest_client_requests_total{code="201",host="10.0.0.1:443",method="POST"} 1)",
            R"(rest_client_requests_total{code="200",host="10.0.0.1:443",method="GET"} 0)",
            R"(leader_election_master_status{name="matriarch"} 0)",
            "certwatcher_read_certificate_total 0",
            "certwatcher_read_certificate_errors_total 0",
        })
        EXPECT_TRUE(has_line(text, line)) << line;
    for (const char* name :
         {"workqueue_queue_duration_seconds_bucket", "workqueue_work_duration_seconds_bucket",
          "workqueue_unfinished_work_seconds", "workqueue_longest_running_processor_seconds",
          "rest_client_request_duration_seconds_bucket"})
        EXPECT_NE(std::string::npos, text.find(name)) << name;
}

TEST(ProcessMetrics, GivenThisProcess_WhenServed_ThenPlausibleFigures) {
    Registry registry;
    add_process_metrics(registry);
    const auto text = registry.text();
    const auto value = [&](const std::string& name) {
        const auto at = text.find('\n' + name + ' ');
        return at == text.npos ? -1 : strtod(text.c_str() + at + name.size() + 2, nullptr);
    };
    EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
    EXPECT_GE(value("process_cpu_seconds_total"), 0);
    EXPECT_GE(value("process_open_fds"), 3);
    EXPECT_GE(value("process_max_fds"), value("process_open_fds"));
    EXPECT_GE(value("process_threads"), 1);
    EXPECT_NEAR(value("process_start_time_seconds"), static_cast<double>(time(nullptr)), 86400);
}

}  // namespace
}  // namespace matriarch::telemetry
