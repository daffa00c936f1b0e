// consumer.c by the C++ header.
#include <chrono>
#include <cstdio>
#include <promwrite/promwrite.hpp>

int main(int argc, char** argv) {
    if (argc != 2) {
        return 1;
    }
    try {
        promwrite::Writer writer(argv[1], promwrite::Options().set("instance", ""));
        promwrite::Series series = writer.series("built", {{"kind", "consumer"}});
        series.append(42.5, promwrite::Timestamp::from_ms(1700000000123));
        return writer.close(std::chrono::seconds(10)).complete() ? 0 : 2;
    } catch (const promwrite::Exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
