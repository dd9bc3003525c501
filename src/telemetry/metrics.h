// Metrics: counters, gauges and histograms, given out as handles and served as Prometheus' text.
//
// A handle is a pointer to one series: increments cost nanoseconds, so keep it rather than asking
// the registry each time. Label sets that are known are asked for at the start, so that they read 0
// and not nothing. Never label by pod IP, LSN or timeline (a series each, for ever). The series of
// a deleted cluster are removed; handles that still point to one stay usable and are seen no more.
// Safe from any thread. A name used with two types, or an ill-formed name, is a Bug: it aborts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace matriarch::telemetry {

using Labels = std::map<std::string, std::string>;

// A default-made handle takes values and shows them nowhere.
class Counter {
  public:
    Counter() = default;
    explicit Counter(std::shared_ptr<prometheus::Counter> series);
    void increment(double by = 1) const;  // by >= 0
    double value() const;

  private:
    std::shared_ptr<prometheus::Counter> series_;
};

class Gauge {
  public:
    Gauge() = default;
    explicit Gauge(std::shared_ptr<prometheus::Gauge> series);
    void set(double value) const;
    void add(double by) const;
    double value() const;

  private:
    std::shared_ptr<prometheus::Gauge> series_;
};

class Histogram {
  public:
    Histogram() = default;
    explicit Histogram(std::shared_ptr<prometheus::Histogram> series);
    void observe(double value) const;

  private:
    std::shared_ptr<prometheus::Histogram> series_;
};

enum class SampleType { Counter, Gauge };

// A value computed when somebody asks. Samples of one name must have one type and help.
struct Sample {
    std::string name;
    std::string help;
    SampleType type = SampleType::Gauge;
    Labels labels;
    double value = 0;
};
using Collector = std::function<void(std::vector<Sample>& out)>;

class Registry {
  public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // The same name and labels give the same series.
    Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
    Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
    // `buckets` are upper bounds, ascending, without +Inf; the first call of a name decides.
    Histogram histogram(const std::string& name, const std::string& help,
                        const std::vector<double>& buckets, const Labels& labels = {});

    // Called at every text(): for figures that exist elsewhere (process_*, per-cluster snapshots).
    void add_collector(Collector collector);

    // Removes every series that has all of these labels; returns how many.
    std::size_t remove(const Labels& labels);

    // Prometheus' text format 0.0.4, families and series in order of their names.
    std::string text() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// count bounds: start, start*factor, start*factor², …
std::vector<double> exponential_buckets(double start, double factor, int count);

}  // namespace matriarch::telemetry
