// promwrite_series_append against a mutex and a vector, on one thread and on eight: rounds in turn, medians, a dead receiver.
#include <promwrite/promwrite.h>

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace {

constexpr int rounds = 11;
constexpr int appends = 2'000'000;
constexpr std::int64_t given = 1'700'000'000'000;

// What a queue of samples must hold at least.
struct Sample {
    std::uint64_t series;
    std::int64_t timestamp_ms;
    double value;
};
static_assert(sizeof(Sample) == 24);

class Peer {
 public:
    Peer() { samples_.reserve(appends); }
    void clear() { samples_.clear(); }
    void append(std::uint64_t series, double value, std::int64_t at) {
        const std::lock_guard<std::mutex> lock(mutex_);
        samples_.push_back({series, at, value});
    }

 private:
    std::mutex mutex_;
    std::vector<Sample> samples_;
};

void must(std::int32_t code) {
    if (code == PROMWRITE_OK) return;
    std::fprintf(stderr, "promwrite returned %d\n", code);
    std::exit(1);
}

// Nanoseconds of one append where `threads` share `appends` of them. `append` takes the thread's number and the sample's.
template <class Append>
double round_of(int threads, Append append) {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
        running.emplace_back([&, thread] {
            ++ready;
            while (!go) std::this_thread::yield();
            for (int n = 0; n < appends / threads; ++n) append(thread, n);
        });
    }
    while (ready < threads) std::this_thread::yield();
    const auto began = std::chrono::steady_clock::now();
    go = true;
    for (auto& thread : running) thread.join();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - began).count() / appends;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// A port that stays ours and at which nobody listens.
std::string dead_receiver() {
    const int held = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(held, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        getsockname(held, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        std::perror("bind");
        std::exit(1);
    }
    return "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/api/v1/write";
}

promwrite_series* series_of(const promwrite_writer* writer, const std::string& thread) {
    const promwrite_str labels[] = {{"thread", 6}, {thread.data(), thread.size()}};
    promwrite_series* series = nullptr;
    must(promwrite_writer_series(writer, "bench", 5, labels, 1, &series, nullptr));
    return series;
}

// The peer is given its times: where ours reads the clock, that is in its figure.
template <class Time>
void compare(const char* name, int threads, Peer& peer, const std::vector<promwrite_series*>& series, Time time) {
    std::vector<double> ours, theirs, ratios;
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(round_of(threads, [&](int thread, int n) {
            must(promwrite_series_append(series[static_cast<std::size_t>(thread) % series.size()], n, time(n), nullptr));
        }));
        peer.clear();
        theirs.push_back(round_of(threads, [&](int thread, int n) {
            peer.append(static_cast<std::uint64_t>(thread), n, given + n);
        }));
        ratios.push_back(ours.back() / theirs.back());
    }
    std::printf("%-38s %6.1f ns   mutex and vector %6.1f ns   ratio %.2f\n", name, median(ours), median(theirs), median(ratios));
}

}  // namespace

int main() {
    const std::string url = dead_receiver();
    promwrite_writer* writer = nullptr;
    must(promwrite_writer_new(url.data(), url.size(), nullptr, &writer, nullptr));
    std::vector<promwrite_series*> own;
    for (int thread = 0; thread < 8; ++thread) own.push_back(series_of(writer, std::to_string(thread)));
    Peer peer;
    // the queue is filled first, so that each round finds it as a dead receiver leaves it
    round_of(1, [&](int, int n) { must(promwrite_series_append(own[0], n, PROMWRITE_NOW, nullptr)); });

    std::printf("append, ns each, %d in a round, medians of %d rounds:\n", appends, rounds);
    const auto now = [](int) { return PROMWRITE_NOW; };
    const auto at = [](int n) { return given + n; };
    compare("1 thread, PROMWRITE_NOW", 1, peer, {own[0]}, now);
    compare("1 thread, times given", 1, peer, {own[0]}, at);
    compare("8 threads, a series each, NOW", 8, peer, own, now);
    compare("8 threads, a series each, times given", 8, peer, own, at);
    compare("8 threads, one series, NOW", 8, peer, {own[0]}, now);
    compare("8 threads, one series, times given", 8, peer, {own[0]}, at);

    for (auto* series : own) promwrite_series_free(series);
    promwrite_writer_free(writer);
    return promwrite_shutdown(0, nullptr, nullptr) < 0 ? 1 : 0;
}
