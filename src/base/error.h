// Error and Result<T>: how every fallible call of the project answers.
//
// GCC 12 has no std::expected, so this is the small part of it that we use. Exceptions of libraries
// stop at the .cc file that includes the library and become an Error there. OutcomeUnknown is a
// kind of its own: the answer to a write was lost, so the caller must observe again and may neither
// assume success nor failure. Values; safe to copy between threads.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace matriarch {

enum class ErrorKind {
    Conflict,        // the precondition (resourceVersion, epoch, term) does not hold any more
    NotFound,        //
    AlreadyExists,   //
    Gone,            // the resourceVersion asked for is no longer kept (HTTP 410)
    Unauthorized,    // 401: who we are is not known
    Forbidden,       // 403: who we are may not do this
    Invalid,         // the request can never succeed as it is
    Throttled,       // 429: try again after `retry_after`
    Unavailable,     // the peer is away or says that it can't now; it did not act
    OutcomeUnknown,  // a write was sent and its answer was lost: observe again
    Timeout,         // a read did not answer in time
    Cancelled,       // our own stop token
    Bug,             // our own mistake
};

std::string_view to_string(ErrorKind kind);

struct Error {
    ErrorKind kind = ErrorKind::Bug;
    std::string what;   // one sentence that names the object, the field and, if known, the remedy
    std::string cause;  // the text of the lower layer, may be empty
    std::optional<std::chrono::milliseconds> retry_after;

    // "what: cause", for people.
    std::string message() const;
};

Error make_error(ErrorKind kind, std::string what, std::string cause = {});

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition: ok().
    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T value_or(T fallback) const { return ok() ? value() : std::move(fallback); }

    // Precondition: !ok().
    const Error& error() const { return std::get<1>(state_); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}  // NOLINT

    bool ok() const { return !error_; }
    explicit operator bool() const { return ok(); }
    const Error& error() const { return *error_; }

  private:
    std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace matriarch
