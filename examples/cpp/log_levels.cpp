// Counts the lines of a log by level and writes the totals as it goes, by remote write: nothing waits for the network but the close.
//
//   c++ -std=c++17 -o log_levels log_levels.cpp $(pkg-config --cflags --libs promwrite)
//   URL=http://127.0.0.1:9090/api/v1/write ./log_levels app.log
#include <promwrite/promwrite.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::string_view levels[] = {"ERROR", "WARN", "INFO", "DEBUG", "other"};
constexpr int every_lines = 10'000;

struct Level {
    std::string_view name;
    promwrite::Series series;
    unsigned long count;
};

std::string variable(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : value;
}

// The totals so far, as a scrape would see them, not the increments. A log that cannot be counted in Prometheus is still a log, so
// a refused sample is told and does not end the program.
void write_totals(const std::vector<Level>& counted) {
    for (const Level& level : counted) {
        if (const auto done = level.series.try_append(static_cast<double>(level.count)); !done) {
            std::cerr << "promwrite: " << done.error().message() << "\n";
        }
    }
}

int count(std::istream& log) {
    // worker: two processes of one host must not write the same series
    const promwrite::Writer writer(variable("URL", ""), promwrite::Options()
                                                            .set("labels.job", "log_levels")
                                                            .set("labels.worker", variable("WORKER", "0")));
    std::vector<Level> counted;
    for (const auto name : levels) {
        auto series = writer.series("log_lines_total", {{"level", name}}).describe("counter", "Lines read.");
        counted.push_back({name, std::move(series), 0});
    }
    long lines = 0;
    for (std::string line; std::getline(log, line);) {
        for (Level& level : counted) {
            if (&level == &counted.back() || line.find(level.name) != std::string::npos) {
                ++level.count;
                break;
            }
        }
        if (++lines % every_lines == 0) write_totals(counted);
    }
    write_totals(counted);
    const promwrite::Report report = writer.close(10s);
    std::cout << report.to_string();
    return report.complete() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::ifstream log(argc == 2 ? argv[1] : "");
    if (!log) {
        std::cerr << "usage: URL=… " << argv[0] << " FILE (that can be read)\n";
        return 2;
    }
    try {
        return count(log);
    } catch (const promwrite::Exception& error) {
        std::cerr << "promwrite: " << error.what() << "\n";
        return 2;
    }
}
