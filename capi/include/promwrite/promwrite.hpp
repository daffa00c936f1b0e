/// @file
/// promwrite for C++17 and newer: the C functions of promwrite.h as objects. Nothing but this header and the C library is needed.
///
///     promwrite::Writer writer("http://localhost:9090/api/v1/write", promwrite::Options().set("labels.job", "etl"));
///     auto rows = writer.series("rows_loaded_total", {{"stage", "load"}});
///     rows.append(1200);                                 // queued, not waited for
///     promwrite::Report report = writer.close(std::chrono::seconds(5));
///     if (!report.complete()) std::fputs(report.to_string().c_str(), stderr);
///
/// - Errors: a member throws `Exception`; the member `try_…` of the same name returns a `Result` instead. With -fno-exceptions, or
///   with PROMWRITE_NO_EXCEPTIONS defined before the first include, only the `try_…` members exist.
/// - Destructors neither wait nor lose anything: what is pending is still sent, and flushed when the process ends by `exit` or by
///   returning from `main`. To know what became of it, close.
/// - Objects move and do not copy. A member of one that was moved from fails with PROMWRITE_ERROR_INVALID.
/// - Any number of threads may call const members of one object. A forked child may use the objects of its parent.
/// - Arguments are borrowed for the call. What holds for the C function of the same name (limits, error codes) holds here.

#ifndef PROMWRITE_PROMWRITE_HPP
#define PROMWRITE_PROMWRITE_HPP

#include <promwrite/promwrite.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if !defined(PROMWRITE_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
/// Defined: no member throws, and only the `try_…` members exist.
#define PROMWRITE_NO_EXCEPTIONS
#endif

namespace promwrite {

// Two namespaces, because one program may have translation units of both kinds, and a class must be the same in all of them.
#ifdef PROMWRITE_NO_EXCEPTIONS
inline namespace results {
#else
inline namespace exceptions {
#endif

/// What went wrong: a code for programs, a message for people.
class Error {
 public:
    /// An error of that code and message. `retryable`: whether the same call can succeed later.
    Error(std::int32_t code, std::string message, bool retryable = false)
        : code_(code), retryable_(retryable), message_(std::move(message)) {}

    /// Takes over an error of a C function.
    explicit Error(promwrite_error* owned)
        : Error(promwrite_error_code(owned), promwrite_error_message(owned), promwrite_error_retryable(owned)) {
        promwrite_error_free(owned);
    }

    /// One of PROMWRITE_ERROR_….
    [[nodiscard]] std::int32_t code() const noexcept { return code_; }
    /// What was refused, the value and the rule. Never holds a secret.
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    /// Whether the same call can succeed later without a change by the caller.
    [[nodiscard]] bool retryable() const noexcept { return retryable_; }

 private:
    std::int32_t code_;
    bool retryable_;
    std::string message_;
};

#ifndef PROMWRITE_NO_EXCEPTIONS
/// An `Error` as it is thrown; `what()` is its message.
class Exception : public std::runtime_error {
 public:
    /// The exception of an error.
    explicit Exception(const Error& error)
        : std::runtime_error(error.message()), code_(error.code()), retryable_(error.retryable()) {}

    /// One of PROMWRITE_ERROR_….
    [[nodiscard]] std::int32_t code() const noexcept { return code_; }
    /// Whether the same call can succeed later without a change by the caller.
    [[nodiscard]] bool retryable() const noexcept { return retryable_; }

 private:
    std::int32_t code_;
    bool retryable_;
};
#endif

/// @cond internal
namespace detail {
[[noreturn]] inline void raise([[maybe_unused]] const Error& error) {
#ifdef PROMWRITE_NO_EXCEPTIONS
    std::abort();
#else
    throw Exception(error);
#endif
}
}  // namespace detail
/// @endcond

/// A value or an `Error`, in the manner of `std::expected`.
template <class T>
class [[nodiscard]] Result {
 public:
    /// A success.
    Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    /// A failure.
    Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

    /// Whether there is a value.
    [[nodiscard]] bool has_value() const noexcept { return held_.index() == 0; }
    /// As has_value.
    explicit operator bool() const noexcept { return has_value(); }
    /// The value. Where there is none, throws the error as `Exception`, or calls std::abort without exceptions.
    T& value() & { return checked(), *std::get_if<0>(&held_); }
    /// As above.
    const T& value() const& { return checked(), *std::get_if<0>(&held_); }
    /// As above.
    T&& value() && { return checked(), std::move(*std::get_if<0>(&held_)); }
    /// As value.
    T& operator*() & { return value(); }
    /// As value.
    const T& operator*() const& { return value(); }
    /// As value.
    T&& operator*() && { return std::move(*this).value(); }
    /// As value.
    T* operator->() { return &value(); }
    /// As value.
    const T* operator->() const { return &value(); }
    /// The error. Where there is none, throws std::bad_variant_access, or aborts without exceptions.
    [[nodiscard]] const Error& error() const { return std::get<1>(held_); }

 private:
    void checked() const {
        if (!has_value()) detail::raise(*std::get_if<1>(&held_));
    }

    std::variant<T, Error> held_;
};

/// Success or an `Error`.
template <>
class [[nodiscard]] Result<void> {
 public:
    /// A success.
    Result() noexcept = default;
    /// A failure.
    Result(Error error) : error_(std::move(error)) {}

    /// Whether it is a success.
    [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
    /// As has_value.
    explicit operator bool() const noexcept { return has_value(); }
    /// Nothing. Where there is an error, throws it as `Exception`, or calls std::abort without exceptions.
    void value() const {
        if (error_) detail::raise(*error_);
    }
    /// The error. Where there is none, throws std::bad_optional_access, or aborts without exceptions.
    [[nodiscard]] const Error& error() const { return error_.value(); }

 private:
    std::optional<Error> error_;
};

/// @cond internal
namespace detail {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* handle) const noexcept {
        Free(handle);
    }
};

template <class T, auto Free>
using Handle = std::unique_ptr<T, Freed<Free>>;

/// The outcome of a C function that gives nothing back.
template <class Call>
Result<void> done(Call call) {
    promwrite_error* error = nullptr;
    if (call(&error) < 0) return Error(error);
    return {};
}

/// The outcome of a C function that gives a handle, as the object that owns it.
template <class T, class Call>
Result<T> made(Call call) {
    decltype(std::declval<const T&>().get()) handle = nullptr;
    promwrite_error* error = nullptr;
    if (call(&handle, &error) < 0) return Error(error);
    return T(handle);
}

/// The outcome of a C function that counts.
template <class Call>
Result<std::uint64_t> counted(Call call) {
    std::uint64_t count = 0;
    promwrite_error* error = nullptr;
    if (call(&count, &error) < 0) return Error(error);
    return count;
}

/// Milliseconds, rounded down; the nearest that can be where they are out of range.
template <class Rep, class Period>
constexpr std::int64_t milliseconds(std::chrono::duration<Rep, Period> time) {
    const auto wide = std::chrono::duration<long double, std::milli>(time).count();
    if (wide >= 9.2e18L) return std::numeric_limits<std::int64_t>::max();
    // not the least number, because that is PROMWRITE_NOW; written so that a NaN is out of range too
    if (!(wide > -9.2e18L)) return std::numeric_limits<std::int64_t>::min() + 1;
    return std::chrono::floor<std::chrono::duration<std::int64_t, std::milli>>(time).count();
}

inline const std::uint8_t* bytes(std::string_view text) noexcept {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace detail
/// @endcond

/// The time of a sample: now, or any time of the system clock, rounded down to milliseconds.
class Timestamp {
 public:
    /// The time of the call that it is given to.
    constexpr Timestamp() noexcept = default;
    /// That time.
    template <class Duration>
    constexpr Timestamp(std::chrono::time_point<std::chrono::system_clock, Duration> at)
        : ms_(detail::milliseconds(at.time_since_epoch())) {}
    /// So many milliseconds since 1970 UTC. A name, because a bare number does not say whether it counts seconds.
    static constexpr Timestamp from_ms(std::int64_t ms) noexcept {
        Timestamp at;
        at.ms_ = ms;
        return at;
    }
    /// Milliseconds since 1970 UTC, or PROMWRITE_NOW.
    [[nodiscard]] constexpr std::int64_t ms() const noexcept { return ms_; }

 private:
    std::int64_t ms_ = PROMWRITE_NOW;
};

/// How long a call may wait: any duration, rounded down to milliseconds, or `Timeout::forever()`. A negative one is refused.
class Timeout {
 public:
    /// That long.
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> time) : ms_(detail::milliseconds(time)) {
        // one less, because -1 means for ever and a negative duration is a mistake
        if (ms_ < 0 && ms_ > std::numeric_limits<std::int64_t>::min() + 1) --ms_;
    }
    /// No limit.
    static constexpr Timeout forever() noexcept {
        Timeout timeout(std::chrono::milliseconds(0));
        timeout.ms_ = PROMWRITE_FOREVER;
        return timeout;
    }
    /// Milliseconds, or PROMWRITE_FOREVER.
    [[nodiscard]] constexpr std::int64_t ms() const noexcept { return ms_; }

 private:
    std::int64_t ms_;
};

/// Names and values of labels, borrowed: an argument, not something to keep.
class Labels {
 public:
    /// None.
    Labels() = default;
    /// `{{"stage", "load"}, {"room", "a"}}`.
    Labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
        for (const auto& [name, value] : pairs) add(name, value);
    }
    /// Any range of pairs of strings, such as a std::map. A range that makes its pairs as it goes must make them of string_views.
    template <class Range, class = decltype(std::string_view(std::begin(std::declval<const Range&>())->second))>
    Labels(const Range& pairs) {
        using Reference = decltype(*std::begin(pairs));
        static_assert(std::is_reference_v<Reference> ||
                          std::is_convertible_v<Reference, std::pair<std::string_view, std::string_view>>,
                      "the range's elements must outlive the iteration, because labels are borrowed");
        for (auto&& pair : pairs) add(pair.first, pair.second);
    }

    /// For the C functions: names and values in turn.
    [[nodiscard]] const promwrite_str* data() const noexcept { return strings_.data(); }
    /// How many pairs there are.
    [[nodiscard]] std::size_t pairs() const noexcept { return strings_.size() / 2; }

 private:
    void add(std::string_view name, std::string_view value) {
        strings_.push_back({name.data(), name.size()});
        strings_.push_back({value.data(), value.size()});
    }

    std::vector<promwrite_str> strings_;
};

/// Options for new writers and pushers, which copy them. Keys and values are those of the option table (PROMWRITE_OPTION_…).
class Options {
 public:
    /// The defaults.
    Options() : handle_(promwrite_options_new()) {}

    /// Sets one option to a value as text: "30s", "64MiB", "drop_newest". The last value of a key holds.
    Result<void> try_set(std::string_view key, std::string_view value) {
        return detail::done([&](promwrite_error** error) {
            return promwrite_options_set(handle_.get(), key.data(), key.size(), value.data(), value.size(), error);
        });
    }
    /// Sets one option to a whole number or to true or false.
    template <class Number, class = std::enable_if_t<std::is_integral_v<Number>>>
    Result<void> try_set(std::string_view key, Number value) {
        if constexpr (std::is_same_v<Number, bool>) {
            return try_set(key, value ? std::string_view("true") : std::string_view("false"));
        } else {
            return try_set(key, std::string_view(std::to_string(value)));
        }
    }
    /// Sets one option to a duration, rounded down to milliseconds.
    template <class Rep, class Period>
    Result<void> try_set(std::string_view key, std::chrono::duration<Rep, Period> value) {
        return try_set(key, std::string_view(std::to_string(detail::milliseconds(value)) + "ms"));
    }

#ifndef PROMWRITE_NO_EXCEPTIONS
    /// As try_set; for chains: `Options().set("labels.job", "etl").set("remote_timeout", std::chrono::seconds(5))`.
    template <class Value>
    Options& set(std::string_view key, const Value& value) & {
        try_set(key, value).value();
        return *this;
    }
    /// As above.
    template <class Value>
    Options&& set(std::string_view key, const Value& value) && {
        try_set(key, value).value();
        return std::move(*this);
    }
#endif

    /// The C handle, for functions that this header does not cover; still owned by this object.
    [[nodiscard]] promwrite_options* get() const noexcept { return handle_.get(); }

 private:
    detail::Handle<promwrite_options, promwrite_options_free> handle_;
};

/// What a flush or a close achieved since the last report, or, from stats, everything counted since the start: one entry a sender.
class Report {
 public:
    /// Takes over a report of a C function.
    explicit Report(promwrite_report* owned) noexcept : handle_(owned) {}

    /// Whether nothing is pending, rejected or dropped.
    [[nodiscard]] bool complete() const noexcept { return promwrite_report_complete(get()); }
    /// How many senders it speaks of: one of a writer or pusher, none in a forked child that has not used them.
    [[nodiscard]] std::size_t senders() const noexcept { return promwrite_report_senders(get()); }
    /// The endpoint of a sender, without user, password and query; empty beyond the last.
    [[nodiscard]] std::string_view url(std::size_t sender = 0) const noexcept {
        return text(promwrite_report_url(get(), sender));
    }
    /// What a sender counts: "samples" or "pushes"; empty beyond the last.
    [[nodiscard]] std::string_view kind(std::size_t sender = 0) const noexcept {
        return text(promwrite_report_kind(get(), sender));
    }
    /// Every counter of a sender with its name, which lives as long as the report.
    [[nodiscard]] std::vector<std::pair<std::string_view, std::uint64_t>> counters(std::size_t sender = 0) const {
        std::vector<std::pair<std::string_view, std::uint64_t>> found;
        for (std::size_t n = 0; n < promwrite_report_counters(get(), sender); ++n) {
            found.emplace_back(promwrite_report_counter_name(get(), sender, n),
                               promwrite_report_counter_value(get(), sender, n));
        }
        return found;
    }
    /// One counter of a sender, such as "dropped.queue_full". An error where there is no such sender or counter.
    Result<std::uint64_t> try_counter(std::string_view name, std::size_t sender = 0) const {
        return detail::counted([&](std::uint64_t* value, promwrite_error** error) {
            return promwrite_report_get(get(), sender, name.data(), name.size(), value, error);
        });
    }
    /// Recent failures of a sender in words, oldest first. They live as long as the report.
    [[nodiscard]] std::vector<std::string_view> failures(std::size_t sender = 0) const {
        std::vector<std::string_view> found;
        for (std::size_t n = 0; n < promwrite_report_failures(get(), sender); ++n) {
            found.push_back(text(promwrite_report_failure(get(), sender, n)));
        }
        return found;
    }

    /// Taken from the caller, all senders together.
    [[nodiscard]] std::uint64_t accepted() const { return total("accepted"); }
    /// Answered by the receiver with 2xx, all senders together.
    [[nodiscard]] std::uint64_t delivered() const { return total("delivered"); }
    /// Not settled yet, all senders together.
    [[nodiscard]] std::uint64_t pending() const { return total("pending"); }
    /// Refused by the receiver for good, all senders together.
    [[nodiscard]] std::uint64_t rejected() const { return total("rejected"); }
    /// Given up, all senders together.
    [[nodiscard]] std::uint64_t dropped() const { return total("dropped"); }
    /// Made needless by a newer state or value, all senders together.
    [[nodiscard]] std::uint64_t superseded() const { return total("superseded"); }

    /// For a log: a line a sender with the counters that are not zero, and a line a failure.
    [[nodiscard]] std::string to_string() const {
        std::string lines;
        for (std::size_t sender = 0; sender < senders(); ++sender) {
            lines.append(url(sender)).append(" (").append(kind(sender)).append("):");
            const char* before = " ";
            for (const auto& [name, value] : counters(sender)) {
                if (value == 0) continue;
                lines.append(before).append(name).append(" ").append(std::to_string(value));
                before = ", ";
            }
            lines.append("\n");
            for (const auto& failure : failures(sender)) lines.append("  ").append(failure).append("\n");
        }
        return lines;
    }

#ifndef PROMWRITE_NO_EXCEPTIONS
    /// As try_counter.
    [[nodiscard]] std::uint64_t counter(std::string_view name, std::size_t sender = 0) const {
        return try_counter(name, sender).value();
    }
#endif

    /// The C handle; still owned by this object.
    [[nodiscard]] promwrite_report* get() const noexcept { return handle_.get(); }

 private:
    static std::string_view text(const char* given) noexcept { return given == nullptr ? "" : given; }

    [[nodiscard]] std::uint64_t total(std::string_view name) const {
        std::uint64_t sum = 0;
        for (std::size_t sender = 0; sender < senders(); ++sender) sum += try_counter(name, sender).value();
        return sum;
    }

    detail::Handle<promwrite_report, promwrite_report_free> handle_;
};

/// A prepared label set of a writer: the fast path. It stays valid when the writer is destroyed.
class Series {
 public:
    /// Takes over a series of a C function.
    explicit Series(promwrite_series* owned) noexcept : handle_(owned) {}

    /// Records a value; for a counter the total so far, not an increment. Of two values in one millisecond the later is kept.
    Result<void> try_append(double value, Timestamp at = {}) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_series_append(get(), value, at.ms(), error);
        });
    }
    /// Records `count` values with their times, in milliseconds since 1970 UTC.
    Result<void> try_append_many(const double* values, const std::int64_t* timestamps_ms, std::size_t count) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_series_append_many(get(), values, timestamps_ms, count, error);
        });
    }
    /// The same from two contiguous containers (vector, array, span) of double and std::int64_t, which must be equally long.
    template <class Values, class Times>
    Result<void> try_append_many(const Values& values, const Times& timestamps_ms) const {
        if (std::size(values) != std::size(timestamps_ms)) {
            return Error(PROMWRITE_ERROR_INVALID, "timestamps_ms: " + std::to_string(std::size(timestamps_ms)) +
                                                      " times are refused: there must be one for each of the " +
                                                      std::to_string(std::size(values)) + " values");
        }
        return try_append_many(std::data(values), std::data(timestamps_ms), std::size(values));
    }
    /// Tells the receiver the metric's type ("counter", "gauge", …; empty means unknown), help and unit.
    Result<void> try_describe(std::string_view type, std::string_view help, std::string_view unit = {}) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_series_describe(get(), type.data(), type.size(), help.data(), help.size(), unit.data(),
                                             unit.size(), error);
        });
    }

#ifndef PROMWRITE_NO_EXCEPTIONS
    /// As try_append.
    void append(double value, Timestamp at = {}) const { try_append(value, at).value(); }
    /// As try_append_many.
    void append_many(const double* values, const std::int64_t* timestamps_ms, std::size_t count) const {
        try_append_many(values, timestamps_ms, count).value();
    }
    /// As try_append_many.
    template <class Values, class Times>
    void append_many(const Values& values, const Times& timestamps_ms) const {
        try_append_many(values, timestamps_ms).value();
    }
    /// As try_describe; for chains: `auto rows = writer.series("rows_total").describe("counter", "Rows.")`.
    Series& describe(std::string_view type, std::string_view help, std::string_view unit = {}) & {
        try_describe(type, help, unit).value();
        return *this;
    }
    /// As above.
    Series&& describe(std::string_view type, std::string_view help, std::string_view unit = {}) && {
        try_describe(type, help, unit).value();
        return std::move(*this);
    }
#endif

    /// The C handle; still owned by this object.
    [[nodiscard]] promwrite_series* get() const noexcept { return handle_.get(); }

 private:
    detail::Handle<promwrite_series, promwrite_series_free> handle_;
};

/// A client of one remote-write endpoint that never waits for it. The destructor does not wait either and loses nothing.
class Writer {
 public:
    /// Takes over a writer of a C function.
    explicit Writer(promwrite_writer* owned) noexcept : handle_(owned) {}

    /// A writer to the remote-write URL, as it is: no path is added. Nothing is connected yet and no thread started.
    static Result<Writer> try_make(std::string_view url, const Options& options = Options()) {
        return detail::made<Writer>([&](promwrite_writer** writer, promwrite_error** error) {
            return promwrite_writer_new(url.data(), url.size(), options.get(), writer, error);
        });
    }
    /// The endpoint, without user, password and query. It lives as long as the writer.
    [[nodiscard]] std::string_view url() const noexcept {
        return get() == nullptr ? std::string_view() : promwrite_writer_url(get());
    }
    /// A prepared series, for what is appended often. Equal labels give the same series.
    Result<Series> try_series(std::string_view name, const Labels& labels = {}) const {
        return detail::made<Series>([&](promwrite_series** series, promwrite_error** error) {
            return promwrite_writer_series(get(), name.data(), name.size(), labels.data(), labels.pairs(), series, error);
        });
    }
    /// Records a value of a series that is named anew: for what is appended seldom.
    Result<void> try_append(std::string_view name, double value, const Labels& labels = {}, Timestamp at = {}) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_writer_append(get(), name.data(), name.size(), labels.data(), labels.pairs(), value, at.ms(),
                                           error);
        });
    }
    /// Appends the samples of a serialised prometheus.WriteRequest of remote write 1.0, uncompressed, all or none. Gives their number.
    Result<std::uint64_t> try_append_packed(std::string_view packed) const {
        return detail::counted([&](std::uint64_t* accepted, promwrite_error** error) {
            return promwrite_writer_append_packed(get(), PROMWRITE_PACKED_WRITE_REQUEST, detail::bytes(packed),
                                                  packed.size(), accepted, error);
        });
    }
    /// Appends every sample of a text page, 0.0.4 where `content_type` is empty, or OpenMetrics. `labels` are added to each series;
    /// where it has one of that name, its own wins if `honor_labels`. Gives the number of samples.
    Result<std::uint64_t> try_push_text(std::string_view page, std::string_view content_type = {},
                                        const Labels& labels = {}, bool honor_labels = false) const {
        return detail::counted([&](std::uint64_t* accepted, promwrite_error** error) {
            return promwrite_writer_push_text(get(), page.data(), page.size(), content_type.data(), content_type.size(),
                                              labels.data(), labels.pairs(), honor_labels, accepted, error);
        });
    }
    /// Sends what was accepted before this call, at once, and waits for it at most so long.
    Result<Report> try_flush(Timeout timeout) const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_writer_flush(get(), timeout.ms(), report, error);
        });
    }
    /// Accepts no more, flushes for at most so long and gives up the rest. The second close is an error.
    Result<Report> try_close(Timeout timeout) const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_writer_close(get(), timeout.ms(), report, error);
        });
    }
    /// Everything counted since the writer was made; also after a close.
    Result<Report> try_stats() const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_writer_stats(get(), report, error);
        });
    }

#ifndef PROMWRITE_NO_EXCEPTIONS
    /// As try_make.
    explicit Writer(std::string_view url, const Options& options = Options())
        : Writer(try_make(url, options).value()) {}
    /// As try_series.
    [[nodiscard]] Series series(std::string_view name, const Labels& labels = {}) const {
        return try_series(name, labels).value();
    }
    /// As try_append.
    void append(std::string_view name, double value, const Labels& labels = {}, Timestamp at = {}) const {
        try_append(name, value, labels, at).value();
    }
    /// As try_append_packed.
    std::uint64_t append_packed(std::string_view packed) const { return try_append_packed(packed).value(); }
    /// As try_push_text.
    std::uint64_t push_text(std::string_view page, std::string_view content_type = {}, const Labels& labels = {},
                            bool honor_labels = false) const {
        return try_push_text(page, content_type, labels, honor_labels).value();
    }
    /// As try_flush.
    Report flush(Timeout timeout) const { return try_flush(timeout).value(); }
    /// As try_close.
    Report close(Timeout timeout) const { return try_close(timeout).value(); }
    /// As try_stats.
    [[nodiscard]] Report stats() const { return try_stats().value(); }
#endif

    /// The C handle; still owned by this object.
    [[nodiscard]] promwrite_writer* get() const noexcept { return handle_.get(); }

 private:
    detail::Handle<promwrite_writer, promwrite_writer_free> handle_;
};

/// A client of one group of one Pushgateway that never waits for it: the newest state of the group arrives, however late. The
/// destructor does not wait either and loses nothing.
class Pusher {
 public:
    /// Takes over a pusher of a C function.
    explicit Pusher(promwrite_pusher* owned) noexcept : handle_(owned) {}

    /// A pusher of the group `job` and `grouping_key` at `gateway`, which is host:port or a URL. The host name is added to the grouping
    /// key as `instance` unless the key or the options have one.
    static Result<Pusher> try_make(std::string_view gateway, std::string_view job, const Labels& grouping_key = {},
                                   const Options& options = Options()) {
        return detail::made<Pusher>([&](promwrite_pusher** pusher, promwrite_error** error) {
            return promwrite_pusher_new(gateway.data(), gateway.size(), job.data(), job.size(), grouping_key.data(),
                                        grouping_key.pairs(), options.get(), pusher, error);
        });
    }
    /// The group's URL, without user and password. It lives as long as the pusher.
    [[nodiscard]] std::string_view url() const noexcept {
        return get() == nullptr ? std::string_view() : promwrite_pusher_url(get());
    }
    /// Replaces the group by the page (HTTP PUT); an empty `content_type` means text 0.0.4.
    Result<void> try_put(std::string_view page, std::string_view content_type = {}) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_pusher_put(get(), detail::bytes(page), page.size(), content_type.data(), content_type.size(),
                                        error);
        });
    }
    /// Replaces the metrics of the page in the group (HTTP POST).
    Result<void> try_post(std::string_view page, std::string_view content_type = {}) const {
        return detail::done([&](promwrite_error** error) {
            return promwrite_pusher_post(get(), detail::bytes(page), page.size(), content_type.data(), content_type.size(),
                                         error);
        });
    }
    /// Removes the group from the gateway (HTTP DELETE).
    Result<void> try_remove() const {
        return detail::done([&](promwrite_error** error) { return promwrite_pusher_delete(get(), error); });
    }
    /// Sends what was accepted before this call, at once, and waits for it at most so long.
    Result<Report> try_flush(Timeout timeout) const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_pusher_flush(get(), timeout.ms(), report, error);
        });
    }
    /// Accepts no more, flushes for at most so long and gives up the rest. The second close is an error.
    Result<Report> try_close(Timeout timeout) const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_pusher_close(get(), timeout.ms(), report, error);
        });
    }
    /// Everything counted since the pusher was made; also after a close.
    Result<Report> try_stats() const {
        return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
            return promwrite_pusher_stats(get(), report, error);
        });
    }

#ifndef PROMWRITE_NO_EXCEPTIONS
    /// As try_make.
    Pusher(std::string_view gateway, std::string_view job, const Labels& grouping_key = {},
           const Options& options = Options())
        : Pusher(try_make(gateway, job, grouping_key, options).value()) {}
    /// As try_put.
    void put(std::string_view page, std::string_view content_type = {}) const { try_put(page, content_type).value(); }
    /// As try_post.
    void post(std::string_view page, std::string_view content_type = {}) const { try_post(page, content_type).value(); }
    /// As try_remove.
    void remove() const { try_remove().value(); }
    /// As try_flush.
    Report flush(Timeout timeout) const { return try_flush(timeout).value(); }
    /// As try_close.
    Report close(Timeout timeout) const { return try_close(timeout).value(); }
    /// As try_stats.
    [[nodiscard]] Report stats() const { return try_stats().value(); }
#endif

    /// The C handle; still owned by this object.
    [[nodiscard]] promwrite_pusher* get() const noexcept { return handle_.get(); }

 private:
    detail::Handle<promwrite_pusher, promwrite_pusher_free> handle_;
};

/// Flushes every sender of this process; all share the timeout.
inline Result<Report> try_flush(Timeout timeout) {
    return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
        return promwrite_flush(timeout.ms(), report, error);
    });
}

/// Closes every sender of this process, for what ends without running exit handlers; gives up what is not delivered in time.
inline Result<Report> try_shutdown(Timeout timeout) {
    return detail::made<Report>([&](promwrite_report** report, promwrite_error** error) {
        return promwrite_shutdown(timeout.ms(), report, error);
    });
}

/// Everything that every sender of this process counted.
inline Result<Report> try_stats() {
    return detail::made<Report>(
        [](promwrite_report** report, promwrite_error** error) { return promwrite_stats(report, error); });
}

#ifndef PROMWRITE_NO_EXCEPTIONS
/// As try_flush.
inline Report flush(Timeout timeout) { return try_flush(timeout).value(); }
/// As try_shutdown.
inline Report shutdown(Timeout timeout) { return try_shutdown(timeout).value(); }
/// As try_stats.
[[nodiscard]] inline Report stats() { return try_stats().value(); }
#endif

/// The lines for the caller's log that came up since the last call; promwrite itself prints nothing.
[[nodiscard]] inline std::vector<std::string> take_log() {
    const detail::Handle<promwrite_log, promwrite_log_free> log(promwrite_log_take());
    std::vector<std::string> lines;
    for (std::size_t n = 0; n < promwrite_log_lines(log.get()); ++n) lines.emplace_back(promwrite_log_line(log.get(), n));
    return lines;
}

/// The version of the library that is running, as PROMWRITE_VERSION is that of the header.
[[nodiscard]] inline std::string_view version() noexcept { return promwrite_version(); }

}  // namespace results or exceptions
}  // namespace promwrite

#endif  // PROMWRITE_PROMWRITE_HPP
