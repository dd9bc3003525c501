#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace matriarch::telemetry {

namespace {

using prometheus::MetricType;

// prometheus::Family hands out references that dangle once a series is removed, and clusters come
// and go while workers still hold handles. So the series are kept here, shared with their handles.
struct Series {
    std::shared_ptr<prometheus::Counter> counter;
    std::shared_ptr<prometheus::Gauge> gauge;
    std::shared_ptr<prometheus::Histogram> histogram;

    prometheus::ClientMetric collect() const {
        if (counter) return counter->Collect();
        if (gauge) return gauge->Collect();
        return histogram->Collect();
    }
};

struct Family {
    std::string help;
    MetricType type = MetricType::Untyped;
    std::vector<double> buckets;
    std::map<Labels, Series> series;
};

bool well_formed(std::string_view name, bool colon_allowed) {
    const auto letter = [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
               (c == ':' && colon_allowed);
    };
    return !name.empty() && letter(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// Names are literals in our code: a wrong one shows in the first test that touches it.
void require(bool condition, const std::string& name, const char* why) {
    if (condition) return;
    fprintf(stderr, "metric %s: %s\n", name.c_str(), why);
    abort();
}

std::vector<prometheus::ClientMetric::Label> label_list(const Labels& labels) {
    std::vector<prometheus::ClientMetric::Label> out;
    for (const auto& [name, value] : labels) {
        prometheus::ClientMetric::Label label;
        label.name = name;
        label.value = value;
        out.push_back(std::move(label));
    }
    return out;
}

bool has_all(const Labels& labels, const Labels& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& item) {
        const auto it = labels.find(item.first);
        return it != labels.end() && it->second == item.second;
    });
}

void append_samples(const std::vector<Sample>& samples,
                    std::map<std::string, prometheus::MetricFamily>& out) {
    for (const auto& sample : samples) {
        auto& family = out[sample.name];
        family.name = sample.name;
        family.help = sample.help;
        family.type = sample.type == SampleType::Counter ? MetricType::Counter : MetricType::Gauge;
        prometheus::ClientMetric metric;
        metric.label = label_list(sample.labels);
        if (sample.type == SampleType::Counter)
            metric.counter.value = sample.value;
        else
            metric.gauge.value = sample.value;
        family.metric.push_back(std::move(metric));
    }
}

}  // namespace

Counter::Counter(std::shared_ptr<prometheus::Counter> series) : series_(std::move(series)) {}
void Counter::increment(double by) const {
    if (series_) series_->Increment(by);
}
double Counter::value() const {
    return series_ ? series_->Value() : 0;
}

Gauge::Gauge(std::shared_ptr<prometheus::Gauge> series) : series_(std::move(series)) {}
void Gauge::set(double value) const {
    if (series_) series_->Set(value);
}
void Gauge::add(double by) const {
    if (series_) series_->Increment(by);
}
double Gauge::value() const {
    return series_ ? series_->Value() : 0;
}

Histogram::Histogram(std::shared_ptr<prometheus::Histogram> series) : series_(std::move(series)) {}
void Histogram::observe(double value) const {
    if (series_) series_->Observe(value);
}

struct Registry::Impl {
    mutable std::mutex mutex;
    std::map<std::string, Family> families;
    std::vector<Collector> collectors;

    // Under the mutex.
    Family& family(const std::string& name, const std::string& help, MetricType type,
                   const Labels& labels) {
        auto& out = families[name];
        if (out.type == MetricType::Untyped) {
            require(well_formed(name, true), name, "not a well-formed name");
            out.type = type;
            out.help = help;
        }
        require(out.type == type, name, "used with two types");
        for (const auto& [label, value] : labels)
            require(well_formed(label, false), name, "has an ill-formed label name");
        return out;
    }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(impl_->mutex);
    auto& series = impl_->family(name, help, MetricType::Counter, labels).series[labels];
    if (!series.counter) series.counter = std::make_shared<prometheus::Counter>();
    return Counter(series.counter);
}

Gauge Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(impl_->mutex);
    auto& series = impl_->family(name, help, MetricType::Gauge, labels).series[labels];
    if (!series.gauge) series.gauge = std::make_shared<prometheus::Gauge>();
    return Gauge(series.gauge);
}

Histogram Registry::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& buckets, const Labels& labels) {
    const std::lock_guard lock(impl_->mutex);
    auto& family = impl_->family(name, help, MetricType::Histogram, labels);
    if (family.buckets.empty()) family.buckets = buckets;
    auto& series = family.series[labels];
    if (!series.histogram)
        series.histogram = std::make_shared<prometheus::Histogram>(family.buckets);
    return Histogram(series.histogram);
}

void Registry::add_collector(Collector collector) {
    const std::lock_guard lock(impl_->mutex);
    impl_->collectors.push_back(std::move(collector));
}

std::size_t Registry::remove(const Labels& labels) {
    // No label at all would match everything: surely a mistake.
    if (labels.empty()) return 0;
    const std::lock_guard lock(impl_->mutex);
    std::size_t removed = 0;
    for (auto& [name, family] : impl_->families)
        removed += std::erase_if(family.series,
                                 [&](const auto& item) { return has_all(item.first, labels); });
    return removed;
}

std::string Registry::text() const {
    std::map<std::string, prometheus::MetricFamily> found;
    std::vector<Collector> collectors;
    {
        const std::lock_guard lock(impl_->mutex);
        collectors = impl_->collectors;
        for (const auto& [name, family] : impl_->families) {
            auto& out = found[name];
            out.name = name;
            out.help = family.help;
            out.type = family.type;
            for (const auto& [labels, series] : family.series) {
                auto metric = series.collect();
                metric.label = label_list(labels);
                out.metric.push_back(std::move(metric));
            }
        }
    }
    // Outside the lock: a collector may use the registry.
    std::vector<Sample> samples;
    for (const auto& collector : collectors) collector(samples);
    append_samples(samples, found);

    std::vector<prometheus::MetricFamily> families;
    for (auto& [name, family] : found)
        if (!family.metric.empty()) families.push_back(std::move(family));
    return prometheus::TextSerializer().Serialize(families);
}

std::vector<double> exponential_buckets(double start, double factor, int count) {
    std::vector<double> out;
    for (double bound = start; count > 0; --count, bound *= factor) out.push_back(bound);
    return out;
}

}  // namespace matriarch::telemetry
