// WAL segments on their way from one agent's disk to another's: whole, synced, and never in memory.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "net/body.h"
#include "net_test_support.h"
#include "raw_peer.h"

namespace matriarch::net::test {
namespace {

namespace fs = std::filesystem;

std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t pages = 0;
    file >> pages >> pages;
    return pages * 4096;
}

class Streaming : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path() / "streamingXXXXXX";
        ASSERT_NE(nullptr, mkdtemp(pattern.data()));
        directory_ = pattern;
        identity_ = authority_.source("agent", {"agent"});
    }
    void TearDown() override {
        server_.reset();
        fs::remove_all(directory_);
    }
    std::string path(const std::string& name) const { return directory_ / name; }
    void make_file(const std::string& name, std::size_t size) const {
        std::ofstream file(path(name), std::ios::binary);
        std::string block(64 * 1024, '\0');
        for (std::size_t done = 0; done < size; done += block.size()) {
            for (std::size_t i = 0; i < block.size(); ++i)
                block[i] = static_cast<char>((done + i) * 2654435761u >> 24);
            file.write(block.data(),
                       static_cast<std::streamsize>(std::min(block.size(), size - done)));
        }
    }
    void start() {
        ServerOptions options;
        options.tls = identity_;
        server_ = serve(
            options,
            [this](HttpRequest request, Responder responder) {
                auto source = open_file_range(path(request.path.substr(1)), offset_, length_);
                if (!source) return (void)responder.answer(text_response(404, "no such segment"));
                responder.stream({200, "application/octet-stream", {}, {}}, std::move(*source));
            },
            clock_);
        address_ = {"127.0.0.1", server_->bound_port(), "agent", identity_};
    }
    bool same_content(const std::string& a, const std::string& b) const {
        return std::system(("cmp -s '" + path(a) + "' '" + path(b) + "'").c_str()) == 0;
    }
    std::vector<std::string> files() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator(directory_))
            out.push_back(entry.path().filename());
        std::sort(out.begin(), out.end());
        return out;
    }
    Deadline soon() const { return Deadline::after(clock_, kPatience); }

    MovableClock clock_;
    Authority authority_{clock_};
    std::shared_ptr<MemoryIdentity> identity_;
    fs::path directory_;
    std::uint64_t offset_ = 0;
    std::uint64_t length_ = kToEnd;
    std::unique_ptr<HttpServer> server_;
    PeerAddress address_;
};

TEST_F(Streaming, GivenAFileOf64Megabytes_WhenDownloaded_ThenItIsTheSameAndMemoryStaysSmall) {
    constexpr std::size_t kSize = 64 * 1024 * 1024;
    make_file("segment", kSize);
    start();
    HttpClient client({}, clock_);
    ASSERT_TRUE(client.request_and_wait(address_, 0, get("/none"), soon()));
    const auto before = resident_bytes();
    std::size_t peak = before;
    Promised<Result<Downloaded>> result;
    client.download(address_, 0, get("/segment"), {path("copy"), kSize}, soon(),
                    [&](Result<Downloaded> r) { result.set(std::move(r)); });
    EXPECT_TRUE(eventually([&] {
        peak = std::max(peak, resident_bytes());
        return result.ready();
    }));
    ASSERT_TRUE(result.get()) << result.get().error().message();
    EXPECT_EQ(kSize, result.get()->bytes);
    EXPECT_TRUE(same_content("segment", "copy"));
    const auto growth = (peak - before) / 1024;
    RecordProperty("rss_growth_kib", static_cast<int>(growth));
    printf("64 MB streamed over TLS, server and client in one process: RSS + %zu KiB\n", growth);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(growth, 8u * 1024);
#endif
}

TEST_F(Streaming, GivenARange_WhenDownloaded_ThenExactlyThatComes) {
    make_file("segment", 1000000);
    offset_ = 300001;
    length_ = 400000;
    start();
    HttpClient client({}, clock_);
    ASSERT_TRUE(
        client.download_and_wait(address_, 0, get("/segment"), {path("copy"), 400000}, soon()));
    std::ifstream a(path("segment"), std::ios::binary);
    std::ifstream b(path("copy"), std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(a)), {});
    const std::string part((std::istreambuf_iterator<char>(b)), {});
    EXPECT_TRUE(whole.substr(offset_, length_) == part);
}

TEST_F(Streaming, GivenAnEmptyFile_WhenDownloaded_ThenItExists) {
    make_file("empty", 0);
    start();
    HttpClient client({}, clock_);
    const auto done =
        client.download_and_wait(address_, 0, get("/empty"), {path("copy"), 0}, soon());
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_TRUE(same_content("empty", "copy"));
}

TEST_F(Streaming, GivenAnotherLengthThanExpected_WhenDownloaded_ThenNothingAppears) {
    make_file("segment", 1000);
    start();
    HttpClient client({}, clock_);
    const auto done =
        client.download_and_wait(address_, 0, get("/segment"), {path("copy"), 2000}, soon());
    ASSERT_FALSE(done);
    EXPECT_EQ(ErrorKind::Invalid, done.error().kind);
    client.stop();
    EXPECT_EQ(std::vector<std::string>{"segment"}, files());
}

TEST_F(Streaming, GivenNoSuchFile_WhenDownloaded_ThenNotFoundAndTheConnectionStays) {
    start();
    HttpClient client({}, clock_);
    for (int i = 0; i < 2; ++i) {
        const auto done =
            client.download_and_wait(address_, 0, get("/none"), {path("copy"), {}}, soon());
        ASSERT_FALSE(done);
        EXPECT_EQ(ErrorKind::NotFound, done.error().kind) << done.error().message();
        EXPECT_NE(std::string::npos, done.error().message().find("no such segment"));
    }
    EXPECT_EQ(1u, client.stats().connects);
    EXPECT_TRUE(files().empty());
}

TEST_F(Streaming, GivenASourceThatFailsMidway_WhenDownloaded_ThenLostAndNothingAppears) {
    class Failing final : public BodySource {
      public:
        std::uint64_t length() const override { return 10000000; }
        Result<std::size_t> read(char* out, std::size_t size) override {
            if (++reads_ > 10) return make_error(ErrorKind::Unavailable, "the disk is gone");
            std::fill(out, out + size, 'x');
            return size;
        }

      private:
        int reads_ = 0;
    };
    const auto server = serve(
        {}, [](HttpRequest, Responder r) { r.stream({}, std::make_unique<Failing>()); }, clock_);
    HttpClient client({}, clock_);
    const auto done = client.download_and_wait({"127.0.0.1", server->bound_port(), ""}, 0, get("/"),
                                               {path("copy"), {}}, soon());
    ASSERT_FALSE(done);
    EXPECT_EQ(Failure::Lost, failure_of(done.error())) << done.error().message();
    client.stop();
    EXPECT_TRUE(files().empty());
}

TEST_F(Streaming, GivenNoPlaceToWrite_WhenDownloaded_ThenAnError) {
    make_file("segment", 1000000);
    start();
    HttpClient client({}, clock_);
    const auto done =
        client.download_and_wait(address_, 0, get("/segment"), {path("missing/copy"), {}}, soon());
    ASSERT_FALSE(done);
    EXPECT_EQ(ErrorKind::NotFound, done.error().kind) << done.error().message();
    EXPECT_TRUE(client.request_and_wait(address_, 0, get("/none"), soon()));
}

TEST_F(Streaming, GivenASlowReader_WhenALargeFileIsServed_ThenTheServerReadsNoFurther) {
    class Counting final : public BodySource {
      public:
        explicit Counting(std::atomic<std::uint64_t>& given) : given_(given) {}
        std::uint64_t length() const override { return std::uint64_t{1} << 30; }
        Result<std::size_t> read(char* out, std::size_t size) override {
            std::fill(out, out + size, 'x');
            given_ += size;
            return size;
        }

      private:
        std::atomic<std::uint64_t>& given_;
    };
    std::atomic<std::uint64_t> given = 0;
    const auto server = serve(
        {},
        [&](HttpRequest request, Responder r) {
            if (request.path == "/ping") return (void)r.answer({});
            r.stream({}, std::make_unique<Counting>(given));
        },
        clock_);
    auto peer = RawSocket::connect_to(server->bound_port());
    peer.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    // Full once the figure holds still while the server answers others.
    HttpClient client({}, clock_);
    std::uint64_t last = 0;
    int still = 0;
    EXPECT_TRUE(eventually([&] {
        for (int i = 0; i < 20; ++i)
            EXPECT_TRUE(client.request_and_wait({"127.0.0.1", server->bound_port(), ""}, 0,
                                                get("/ping"), soon()));
        still = given == last && last > 0 ? still + 1 : 0;
        last = given;
        return still >= 5;
    }));
    EXPECT_LT(given, 64u * 1024 * 1024) << "what socket buffers hold, not the gigabyte";
}

TEST(FileRangeTest, GivenARangeBeyondTheEnd_WhenOpened_ThenInvalid) {
    std::string name = fs::temp_directory_path() / "rangeXXXXXX";
    const int fd = mkstemp(name.data());
    ASSERT_EQ(5, write(fd, "12345", 5));
    close(fd);
    EXPECT_EQ(3u, (*open_file_range(name, 2))->length());
    EXPECT_EQ(0u, (*open_file_range(name, 5))->length());
    EXPECT_EQ(ErrorKind::Invalid, open_file_range(name, 6).error().kind);
    EXPECT_EQ(ErrorKind::Invalid, open_file_range(name, 2, 4).error().kind);
    EXPECT_EQ(ErrorKind::Invalid, open_file_range(fs::temp_directory_path()).error().kind);
    unlink(name.c_str());
    EXPECT_EQ(ErrorKind::NotFound, open_file_range(name).error().kind);
}

}  // namespace
}  // namespace matriarch::net::test
