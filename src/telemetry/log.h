// Structured logging: a message that never varies, and fields that do.
//
//   log::info("promoted", {{"cluster", key}, {"epoch", epoch}, {"took", duration}});
//
// One line a message, as JSON for machines or as text for people, on stderr. Fields that hold for a
// while (reconcile_id) are set once with a Scope and appear in every line of that thread. Nothing
// here looks for secrets: never pass a password, key, token or connection string with one. Safe
// from any thread; a disabled level costs a comparison. Writing never throws; a line that can't be
// written is lost.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/strong.h"

namespace matriarch::telemetry::log {

enum class Level { Debug, Info, Warn, Error, Off };
enum class Format { Json, Console };

// "debug", "info", "warn" or "warning", "error", "off"; "json", "console". Invalid otherwise.
Result<Level> parse_level(std::string_view text);
Result<Format> parse_format(std::string_view text);
std::string_view to_string(Level level);

struct Options {
    Level level = Level::Info;
    Format format = Format::Json;
    std::function<void(std::string_view line)> sink;  // for tests; empty: stderr
    const Clock* clock = nullptr;                     // null: the machine's
};

// Once at the start; again in tests. Before it, Info and above go to stderr as text.
void configure(Options options);
Level level();
bool enabled(Level level);

// A key and a value that lives as long as the call. Text is not copied. Durations become
// milliseconds, and their key should say so or need not.
struct Field {
    using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;
    std::string_view key;
    Value value;

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
    Field(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
    Field(std::string_view k, bool v) : key(k), value(v) {}
    Field(std::string_view k, double v) : key(k), value(v) {}
    template <std::signed_integral T>
    Field(std::string_view k, T v) : key(k), value(static_cast<std::int64_t>(v)) {}
    template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>) Field(std::string_view k, T v)
        : key(k), value(static_cast<std::uint64_t>(v)) {}
    template <class Rep, class Period>
    Field(std::string_view k, std::chrono::duration<Rep, Period> v)
        : key(k), value(std::chrono::duration<double, std::milli>(v).count()) {}
    // Our strong ids and numbers.
    template <class T>
    requires requires(const T& t) {
        t.value;
    } &&(!std::is_arithmetic_v<T>)Field(std::string_view k, const T& v) : Field(k, v.value) {
    }
};

using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view message, Fields fields = {});
// The same with a computed list.
void write(Level level, std::string_view message, const std::vector<Field>& fields);

inline void debug(std::string_view message, Fields fields = {}) {
    if (enabled(Level::Debug)) write(Level::Debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
    if (enabled(Level::Info)) write(Level::Info, message, fields);
}
inline void warn(std::string_view message, Fields fields = {}) {
    if (enabled(Level::Warn)) write(Level::Warn, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
    if (enabled(Level::Error)) write(Level::Error, message, fields);
}
// With the error's kind and message as fields "error_kind" and "error".
void warn(std::string_view message, const matriarch::Error& error, Fields fields = {});
void error(std::string_view message, const matriarch::Error& error, Fields fields = {});

// Adds fields (copied) to every line that this thread writes while the Scope lives. Scopes nest.
class Scope {
  public:
    Scope(Fields fields);  // NOLINT: Scope scope{{"reconcile_id", id}};
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

  private:
    std::size_t former_;
};

}  // namespace matriarch::telemetry::log
