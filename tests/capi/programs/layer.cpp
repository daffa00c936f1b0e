// Every member of promwrite.hpp: first with results, then, where there are exceptions, with exceptions.
#include <promwrite/promwrite.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>
#include <unistd.h>

// _exit, because the end of a program that failed must not wait for deliveries.
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);   \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

namespace {

using namespace std::chrono_literals;
using promwrite::Timestamp;

constexpr std::int64_t base = 1'700'000'000'000;
static_assert(Timestamp().ms() == PROMWRITE_NOW);
static_assert(Timestamp::from_ms(base).ms() == base);
static_assert(Timestamp(std::chrono::system_clock::time_point(-1us)).ms() == -1);
static_assert(promwrite::Timeout(1500us).ms() == 1);
static_assert(promwrite::Timeout(2h).ms() == 7'200'000);
static_assert(promwrite::Timeout(std::chrono::duration<double>(0.25)).ms() == 250);
static_assert(promwrite::Timeout(std::chrono::hours::max()).ms() == std::numeric_limits<std::int64_t>::max());
static_assert(promwrite::Timeout::forever().ms() == PROMWRITE_FOREVER);
// what is negative by mistake must not mean for ever
static_assert(promwrite::Timeout(-1ms).ms() < PROMWRITE_FOREVER);
static_assert(promwrite::Timeout(-1ns).ms() < PROMWRITE_FOREVER);
static_assert(promwrite::Timeout(std::chrono::hours::min()).ms() < PROMWRITE_FOREVER);
static_assert(std::is_nothrow_move_constructible_v<promwrite::Writer> && !std::is_copy_constructible_v<promwrite::Writer>);
static_assert(std::is_nothrow_move_constructible_v<promwrite::Series> && !std::is_copy_constructible_v<promwrite::Series>);
static_assert(std::is_nothrow_move_assignable_v<promwrite::Pusher> && !std::is_copy_assignable_v<promwrite::Pusher>);
static_assert(std::is_nothrow_move_assignable_v<promwrite::Report> && !std::is_copy_assignable_v<promwrite::Report>);

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    CHECK(value != nullptr);
    return value;
}

promwrite::Options options_of_tests() {
    promwrite::Options options;
    CHECK(options.try_set(PROMWRITE_OPTION_INSTANCE, ""));
    CHECK(options.try_set(PROMWRITE_OPTION_QUEUE_CONFIG_BATCH_SEND_DEADLINE, 1h));
    CHECK(options.try_set(PROMWRITE_OPTION_QUEUE_CONFIG_CAPACITY, 1000));
    CHECK(options.try_set(PROMWRITE_OPTION_OUT_OF_ORDER, false));
    return options;
}

void with_results() {
    const std::chrono::duration<double> no_number(std::numeric_limits<double>::quiet_NaN());
    CHECK(promwrite::Timeout(no_number).ms() < PROMWRITE_FOREVER);
    const auto gone = promwrite::Writer::try_make("ftp://x");
    CHECK(!gone && gone.error().code() == PROMWRITE_ERROR_INVALID && !gone.error().retryable());
    CHECK(gone.error().message().find("url: ") == 0);
    promwrite::Options options = options_of_tests();
    const auto unknown = options.try_set("remote_timeou", "1s");
    CHECK(!unknown.has_value() && unknown.error().code() == PROMWRITE_ERROR_UNKNOWN_OPTION);

    auto writer = promwrite::Writer::try_make(variable("URL"), options);
    CHECK(writer);
    CHECK(writer->url() == variable("URL"));
    const std::map<std::string, std::string> labels = {{"of", "map"}, {"empty", ""}};
    auto series = writer->try_series("results", labels);
    CHECK(series.has_value());
    CHECK(series->try_describe("counter", "Results."));
    CHECK(series->try_append(1, Timestamp::from_ms(base)));
    CHECK(series->try_append(2, std::chrono::system_clock::time_point(std::chrono::milliseconds(base + 1))));
    const std::array<double, 2> values = {3, 4};
    const std::vector<std::int64_t> times = {base + 2, base + 3}, one = {base};
    CHECK(series->try_append_many(values, times));
    CHECK(series->try_append_many(values.data(), times.data(), 0));
    const auto odd = series->try_append_many(values, one);
    CHECK(!odd && odd.error().code() == PROMWRITE_ERROR_INVALID && odd.error().message().find("2 values") != std::string::npos);
    CHECK(writer->try_append("results", 5, {{"of", "list"}, {"b", std::string("c")}}, Timestamp::from_ms(base)));
    CHECK(writer->try_append("results", 6, std::vector<std::pair<std::string_view, std::string_view>>{{"of", "vector"}},
                             Timestamp::from_ms(base)));
    CHECK(writer->try_push_text("page 7 1700000000000\n", "", {{"of", "page"}}).value() == 1);
    const auto broken = writer->try_push_text("page }\n");
    CHECK(!broken && broken.error().code() == PROMWRITE_ERROR_EXPOSITION);
    // one series "packed" with one sample: 8.0 at the time `base`
    const std::string label = std::string("\x0a\x12\x0a\x08__name__\x12\x06packed", 20);
    const std::string sample = std::string("\x12\x10\x09\x00\x00\x00\x00\x00\x00\x20\x40\x10\x80\xd0\x95\xff\xbc\x31", 18);
    CHECK(writer->try_append_packed("\x0a" + std::string(1, static_cast<char>(label.size() + sample.size())) + label + sample)
              .value() == 1);

    auto flushed = writer->try_flush(30s);
    CHECK(flushed && flushed->complete());
    const promwrite::Report report = std::move(flushed).value();
    CHECK(report.senders() == 1 && report.kind() == "samples" && report.url() == variable("URL") && report.url(1).empty());
    CHECK(report.accepted() == 8 && report.delivered() == 8 && report.pending() == 0);
    CHECK(report.rejected() == 0 && report.dropped() == 0 && report.superseded() == 0);
    CHECK(report.try_counter("delivered").value() == 8 && !report.try_counter("nonsense") && !report.try_counter("delivered", 1));
    CHECK(!report.counters().empty() && report.counters(1).empty() && report.failures().empty());
    CHECK(report.to_string() == variable("URL") + " (samples): accepted 8, delivered 8\n");
    CHECK(writer->try_flush(-1ms).error().code() == PROMWRITE_ERROR_INVALID);

    // a series outlives its writer, and an object that was moved from says so
    const promwrite::Writer moved = std::move(writer).value();
    CHECK(writer->try_stats().error().code() == PROMWRITE_ERROR_INVALID && writer->url().empty());
    CHECK(moved.try_close(30s));
    CHECK(moved.try_close(30s).error().code() == PROMWRITE_ERROR_CLOSED);
    CHECK(series->try_append(9).error().code() == PROMWRITE_ERROR_CLOSED);
    CHECK(moved.try_stats()->delivered() == 8);

    auto pusher = promwrite::Pusher::try_make(variable("GATEWAY"), "results", {{"a", "b"}}, promwrite::Options());
    CHECK(pusher && pusher->url().find("/metrics/job/results") != std::string_view::npos);
    CHECK(pusher->try_put("m 1\n"));
    CHECK(pusher->try_flush(30s)->complete());
    CHECK(pusher->try_post("n 2\n", "text/plain; version=0.0.4"));
    CHECK(pusher->try_flush(30s)->complete());
    CHECK(pusher->try_stats()->delivered() == 2);
    CHECK(pusher->try_remove());
    CHECK(pusher->try_close(30s)->complete());
    CHECK(pusher->try_put("m 1\n").error().code() == PROMWRITE_ERROR_CLOSED);
    CHECK(promwrite::try_flush(30s) && promwrite::try_stats());
    CHECK(promwrite::take_log().size() <= 100);
    CHECK(promwrite::version() == PROMWRITE_VERSION);
}

#ifndef PROMWRITE_NO_EXCEPTIONS

template <class Call>
std::int32_t thrown(Call call) {
    try {
        call();
    } catch (const promwrite::Exception& error) {
        CHECK(std::string_view(error.what()).size() > 5 && !error.retryable());
        return error.code();
    }
    return PROMWRITE_OK;
}

// The caller's own exception passes through frames that own promwrite's objects, while the sending thread is at work.
void unwound(int thread) {
    try {
        promwrite::Writer writer(variable("URL"), options_of_tests());
        const promwrite::Series series = writer.series("unwound", {{"of", std::to_string(thread)}});
        series.append(thread, Timestamp::from_ms(base));
        throw std::runtime_error("the caller's");
    } catch (const std::runtime_error& error) {
        CHECK(std::string_view(error.what()) == "the caller's");
    }
}

void with_exceptions() {
    CHECK(thrown([] { promwrite::Writer("ftp://x"); }) == PROMWRITE_ERROR_INVALID);
    CHECK(thrown([] { promwrite::Options().set("nonsense", 1); }) == PROMWRITE_ERROR_UNKNOWN_OPTION);
    CHECK(thrown([] { promwrite::Pusher("h:1", ""); }) == PROMWRITE_ERROR_INVALID);

    promwrite::Writer writer(variable("URL"), promwrite::Options()
                                                  .set(PROMWRITE_OPTION_INSTANCE, "")
                                                  .set(PROMWRITE_OPTION_REMOTE_TIMEOUT, 5s)
                                                  .set("labels.job", std::string("thrown"))
                                                  .set(PROMWRITE_OPTION_QUEUE_CONFIG_MAX_SAMPLES_PER_SEND, 10)
                                                  .set(PROMWRITE_OPTION_SPLIT_ON_REJECT, true));
    const auto series = writer.series("thrown", {{"of", "list"}}).describe("gauge", "Thrown.", "seconds");
    auto plain = writer.series("thrown");
    plain.describe("gauge", "Thrown.").append(1, Timestamp::from_ms(base));
    series.append(2, Timestamp::from_ms(base));
    series.append_many(std::vector<double>{3}, std::vector<std::int64_t>{base + 1});
    const double value = 4;
    const std::int64_t at = base + 2;
    series.append_many(&value, &at, 1);
    writer.append("thrown", 5, {{"of", "append"}}, Timestamp::from_ms(base));
    CHECK(writer.append_packed("") == 0);
    CHECK(writer.push_text("thrown_page 6 1700000000000\n") == 1);
    CHECK(thrown([&] { writer.push_text("}"); }) == PROMWRITE_ERROR_EXPOSITION);
    CHECK(thrown([&] { series.append(1, Timestamp::from_ms(5)); }) == PROMWRITE_ERROR_INVALID_TIMESTAMP);
    CHECK(thrown([&] { writer.flush(-1ms); }) == PROMWRITE_ERROR_INVALID);
    CHECK(writer.flush(30s).counter("delivered") == 6);
    CHECK(writer.stats().accepted() == 6);
    CHECK(thrown([&] { (void)writer.stats().counter("nonsense"); }) == PROMWRITE_ERROR_INVALID);
    CHECK(writer.close(promwrite::Timeout::forever()).complete());
    CHECK(thrown([&] { writer.close(0s); }) == PROMWRITE_ERROR_CLOSED);
    CHECK(thrown([&] { (void)writer.series("m"); }) == PROMWRITE_ERROR_CLOSED);

    const promwrite::Pusher pusher(variable("GATEWAY"), "thrown", {}, promwrite::Options().set("instance", ""));
    pusher.put("m 1\n");
    pusher.post("n 2\n");
    CHECK(pusher.flush(30s).complete());
    CHECK(pusher.stats().pending() == 0);
    pusher.remove();
    CHECK(pusher.close(30s).complete());
    CHECK(thrown([&] { pusher.remove(); }) == PROMWRITE_ERROR_CLOSED);

    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) threads.emplace_back(unwound, n);
    for (auto& thread : threads) thread.join();
    CHECK(promwrite::flush(30s).complete());
    CHECK(promwrite::stats().senders() >= 1);
    (void)promwrite::shutdown(30s);
    CHECK(thrown([] { promwrite::Result<int>(promwrite::Error(-1, "words of an error")).value(); }) == -1);
}

#endif

}  // namespace

int main() {
    with_results();
#ifdef PROMWRITE_NO_EXCEPTIONS
    std::puts("results");
#else
    with_exceptions();
    std::puts("results and exceptions");
#endif
    return 0;
}
