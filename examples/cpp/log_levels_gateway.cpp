// Counts the lines of a log by level and pushes the totals to a Pushgateway as it goes, without exceptions: nothing waits for the
// gateway but the close, and of totals that come faster than it answers the newest is sent.
//
//   c++ -std=c++17 -fno-exceptions -o log_levels_gateway log_levels_gateway.cpp $(pkg-config --cflags --libs promwrite)
//   GATEWAY=127.0.0.1:9091 ./log_levels_gateway app.log
#include <promwrite/promwrite.hpp>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 5> levels = {"ERROR", "WARN", "INFO", "DEBUG", "other"};
constexpr int every_lines = 10'000;
using Counts = std::array<unsigned long, levels.size()>;

std::string variable(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : value;
}

std::size_t level_of(const std::string& line) {
    std::size_t level = 0;
    while (level + 1 < levels.size() && line.find(levels[level]) == std::string::npos) ++level;
    return level;
}

// The totals so far as a page in the text format. A log that cannot be counted in Prometheus is still a log, so a refused push is
// told and does not end the program.
void push_totals(const promwrite::Pusher& pusher, const Counts& counts) {
    std::string page = "# HELP log_lines_total Lines read.\n# TYPE log_lines_total counter\n";
    for (std::size_t level = 0; level < levels.size(); ++level) {
        page.append("log_lines_total{level=\"").append(levels[level]).append("\"} ");
        page.append(std::to_string(counts[level])).append("\n");
    }
    if (const auto done = pusher.try_put(page); !done) std::cerr << "promwrite: " << done.error().message() << "\n";
}

}  // namespace

int main(int argc, char** argv) {
    std::ifstream log(argc == 2 ? argv[1] : "");
    if (!log) {
        std::cerr << "usage: GATEWAY=… " << argv[0] << " FILE (that can be read)\n";
        return 2;
    }
    // worker: two processes of one host must not push the same group
    const auto pusher = promwrite::Pusher::try_make(variable("GATEWAY", ""), "log_levels", {{"worker", variable("WORKER", "0")}});
    if (!pusher) {
        std::cerr << "promwrite: " << pusher.error().message() << "\n";
        return 2;
    }
    Counts counts{};
    long lines = 0;
    for (std::string line; std::getline(log, line);) {
        ++counts[level_of(line)];
        if (++lines % every_lines == 0) push_totals(*pusher, counts);
    }
    push_totals(*pusher, counts);

    const auto report = pusher->try_close(10s);
    if (!report) {
        std::cerr << "promwrite: " << report.error().message() << "\n";
        return 1;
    }
    std::cout << report->to_string();
    return report->complete() ? 0 : 1;
}
