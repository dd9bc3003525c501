#include "telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace matriarch::telemetry::log {

namespace {

// spdlog gives the locked writing to stderr; times, levels and fields are formatted here, since its
// patterns know no structured fields. Replaced by configure() and never freed, so that a thread
// that still logs during exit finds it.
struct Setup {
    Format format = Format::Console;
    std::function<void(std::string_view)> sink;
    const Clock* clock = nullptr;
    std::shared_ptr<spdlog::logger> logger;
};

std::shared_ptr<spdlog::logger> stderr_logger() {
    auto out = std::make_shared<spdlog::logger>("matriarch",
                                                std::make_shared<spdlog::sinks::stderr_sink_mt>());
    out->set_pattern("%v");
    out->set_level(spdlog::level::trace);
    // A log that can't be written (a full disk, a closed pipe) must not end the process.
    out->set_error_handler([](const std::string&) {});
    return out;
}

std::atomic<Level>& threshold() {
    static std::atomic<Level> level{Level::Info};
    return level;
}

std::shared_ptr<const Setup>& setup_slot() {
    static auto* const slot = new std::shared_ptr<const Setup>([] {
        auto first = std::make_shared<Setup>();
        first->logger = stderr_logger();
        return first;
    }());
    return *slot;
}

std::shared_ptr<const Setup> setup() {
    return std::atomic_load(&setup_slot());
}

// What Scopes have added on this thread.
struct OwnedField {
    std::string key;
    std::variant<std::string, std::int64_t, std::uint64_t, double, bool> value;
};
thread_local std::vector<OwnedField> scoped;

bool is_plain(std::string_view text) {
    for (const char c : text)
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
    return true;
}

void append_string(std::string& out, std::string_view text) {
    if (is_plain(text)) {
        out += '"';
        out += text;
        out += '"';
        return;
    }
    // Bytes that are no UTF-8 become U+FFFD: one broken name must not break a log pipeline.
    out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct AppendJson {
    std::string& out;
    void operator()(std::string_view v) const { append_string(out, v); }
    void operator()(std::int64_t v) const { out += std::to_string(v); }
    void operator()(std::uint64_t v) const { out += std::to_string(v); }
    void operator()(bool v) const { out += v ? "true" : "false"; }
    // NaN and infinities become null.
    void operator()(double v) const { out += nlohmann::json(v).dump(); }
};

// Text without blanks stands as it is, other text in quotes.
struct AppendConsole {
    std::string& out;
    void operator()(std::string_view v) const {
        if (!v.empty() && is_plain(v) && v.find(' ') == v.npos)
            out += v;
        else
            append_string(out, v);
    }
    void operator()(std::int64_t v) const { out += std::to_string(v); }
    void operator()(std::uint64_t v) const { out += std::to_string(v); }
    void operator()(bool v) const { out += v ? "true" : "false"; }
    void operator()(double v) const { out += nlohmann::json(v).dump(); }
};

template <class FieldRange>
std::string format_json(std::string_view time, Level level, std::string_view message,
                        const FieldRange& fields) {
    std::string out = R"({"ts":")";
    out += time;
    out += R"(","level":")";
    out += to_string(level);
    out += R"(","msg":)";
    append_string(out, message);
    const auto add = [&](std::string_view key, const auto& value) {
        out += ',';
        append_string(out, key);
        out += ':';
        std::visit(AppendJson{out}, value);
    };
    for (const auto& field : scoped) add(field.key, field.value);
    for (const auto& field : fields) add(field.key, field.value);
    out += '}';
    return out;
}

template <class FieldRange>
std::string format_console(std::string_view time, Level level, std::string_view message,
                           const FieldRange& fields) {
    std::string out(time);
    out += ' ';
    for (const char c : to_string(level)) out += static_cast<char>(c - 'a' + 'A');
    out.append(level == Level::Info || level == Level::Warn ? "  " : " ");
    // A message with a line break would look like two.
    if (is_plain(message))
        out += message;
    else
        append_string(out, message);
    const auto add = [&](std::string_view key, const auto& value) {
        out += ' ';
        out += key;
        out += '=';
        std::visit(AppendConsole{out}, value);
    };
    for (const auto& field : scoped) add(field.key, field.value);
    for (const auto& field : fields) add(field.key, field.value);
    return out;
}

template <class FieldRange>
void write_range(Level level, std::string_view message, const FieldRange& fields) {
    if (!enabled(level)) return;
    try {
        const auto to = setup();
        const WallTime now = to->clock != nullptr ? to->clock->wall() : SystemClock().wall();
        const auto time = format_rfc3339(now);
        const auto line = to->format == Format::Json ? format_json(time, level, message, fields)
                                                     : format_console(time, level, message, fields);
        if (to->sink) return to->sink(line);
        to->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
        to->logger->flush();
    } catch (const std::exception&) {
        // Documented: the line is lost.
    }
}

std::vector<Field> with_error(const matriarch::Error& error, Fields fields) {
    std::vector<Field> out(fields);
    out.emplace_back("error_kind", matriarch::to_string(error.kind));
    return out;
}

}  // namespace

Result<Level> parse_level(std::string_view text) {
    if (text == "debug") return Level::Debug;
    if (text == "info") return Level::Info;
    if (text == "warn" || text == "warning") return Level::Warn;
    if (text == "error") return Level::Error;
    if (text == "off") return Level::Off;
    return make_error(ErrorKind::Invalid, "unknown log level '" + std::string(text) +
                                              "': use debug, info, warn, error or off");
}

Result<Format> parse_format(std::string_view text) {
    if (text == "json") return Format::Json;
    if (text == "console") return Format::Console;
    return make_error(ErrorKind::Invalid,
                      "unknown log format '" + std::string(text) + "': use json or console");
}

std::string_view to_string(Level level) {
    switch (level) {
        case Level::Debug:
            return "debug";
        case Level::Info:
            return "info";
        case Level::Warn:
            return "warn";
        case Level::Error:
            return "error";
        case Level::Off:
            break;
    }
    return "off";
}

void configure(Options options) {
    auto fresh = std::make_shared<Setup>();
    fresh->format = options.format;
    fresh->sink = std::move(options.sink);
    fresh->clock = options.clock;
    fresh->logger = setup()->logger;
    std::atomic_store(&setup_slot(), std::shared_ptr<const Setup>(std::move(fresh)));
    threshold() = options.level;
}

Level level() {
    return threshold();
}

bool enabled(Level level) {
    return level != Level::Off && level >= threshold().load(std::memory_order_relaxed);
}

void write(Level level, std::string_view message, Fields fields) {
    write_range(level, message, fields);
}

void write(Level level, std::string_view message, const std::vector<Field>& fields) {
    write_range(level, message, fields);
}

void warn(std::string_view message, const matriarch::Error& error, Fields fields) {
    const auto text = error.message();
    auto all = with_error(error, fields);
    all.emplace_back("error", text);
    write(Level::Warn, message, all);
}

void error(std::string_view message, const matriarch::Error& error, Fields fields) {
    const auto text = error.message();
    auto all = with_error(error, fields);
    all.emplace_back("error", text);
    write(Level::Error, message, all);
}

Scope::Scope(Fields fields) : former_(scoped.size()) {
    for (const auto& field : fields) {
        OwnedField owned{std::string(field.key), {}};
        std::visit(
            [&](const auto& value) {
                using T = std::decay_t<decltype(value)>;
                if constexpr (std::is_same_v<T, std::string_view>)
                    owned.value = std::string(value);
                else
                    owned.value = value;
            },
            field.value);
        scoped.push_back(std::move(owned));
    }
}

Scope::~Scope() {
    scoped.resize(former_);
}

}  // namespace matriarch::telemetry::log
