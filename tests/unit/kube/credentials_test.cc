#include "kube/credentials.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kube/base64.h"
#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

namespace fs = std::filesystem;

class CredentialsTest : public ::testing::Test {
  protected:
    CredentialsTest() {
        std::string pattern = fs::temp_directory_path() / "kube-credentials-XXXXXX";
        dir_ = mkdtemp(pattern.data());
        around_.environment = {{"HOME", dir_.string()}};
        around_.service_account_dir = (dir_ / "sa").string();
    }
    ~CredentialsTest() override { fs::remove_all(dir_); }

    std::string write(const std::string& name, const std::string& text) {
        const fs::path path = dir_ / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path;
    }
    void in_pod() {
        around_.environment["KUBERNETES_SERVICE_HOST"] = "10.0.0.1";
        around_.environment["KUBERNETES_SERVICE_PORT"] = "443";
        write("sa/token", "first\n");
        write("sa/ca.crt", "CA");
        write("sa/namespace", "db\n");
    }
    Result<Credentials> load(const std::string& path = "", const std::string& context = "") {
        return load_kubeconfig(around_, {path, context});
    }

    fs::path dir_;
    Surroundings around_;
    testing::FakeClock clock_;
};

constexpr const char* kConfig = R"(
apiVersion: v1
kind: Config
current-context: lab
contexts:
- name: lab
  context: {cluster: c, user: u, namespace: team}
- name: broken
  context: {cluster: nowhere, user: u}
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
users:
- name: u
  user: {tokenFile: pki/token, token: loses}
)";

TEST_F(CredentialsTest, GivenAPod_WhenLoaded_ThenTheMountedFilesAreUsed) {
    in_pod();
    const auto credentials = load_in_cluster(around_);
    ASSERT_TRUE(credentials.ok());
    EXPECT_EQ(credentials->server, "https://10.0.0.1:443");
    EXPECT_EQ(credentials->token, "first");
    EXPECT_EQ(credentials->ca_pem, "CA");
    EXPECT_EQ(credentials->default_namespace, "db");
    around_.environment["KUBERNETES_SERVICE_HOST"] = "fd00::1";
    EXPECT_EQ(load_in_cluster(around_)->server, "https://kubernetes.default.svc:443");
}

TEST_F(CredentialsTest, GivenARotatedToken_WhenAMinuteHasPassed_ThenItIsReadAgain) {
    in_pod();
    auto source = find_credentials(around_, {}, clock_);
    ASSERT_TRUE(source.ok());
    write("sa/token", "second");
    EXPECT_EQ((*source)->current()->token, "first");
    clock_.advance(seconds(60));
    EXPECT_EQ((*source)->current()->token, "second");
}

TEST_F(CredentialsTest, Given401_WhenInvalidated_ThenTheTokenIsReadAtOnce) {
    in_pod();
    auto source = find_credentials(around_, {}, clock_);
    write("sa/token", "second");
    (*source)->invalidate();
    EXPECT_EQ((*source)->current()->token, "second");
}

TEST_F(CredentialsTest, GivenAnUnreadableToken_WhenReadAgain_ThenTheLastOneStays) {
    in_pod();
    auto source = find_credentials(around_, {}, clock_);
    fs::remove(dir_ / "sa/token");
    clock_.advance(seconds(61));
    EXPECT_EQ((*source)->current()->token, "first");
    write("sa/token", "");
    clock_.advance(seconds(61));
    EXPECT_EQ((*source)->current()->token, "first");
}

TEST_F(CredentialsTest, GivenRelativePaths_WhenLoaded_ThenTheyAreRelativeToTheFile) {
    write("k/pki/ca.crt", "THE CA");
    write("k/pki/token", "from-file\n");
    const auto credentials = load(write("k/config", kConfig));
    ASSERT_TRUE(credentials.ok()) << credentials.error().message();
    EXPECT_EQ(credentials->server, "https://127.0.0.1:6443");
    EXPECT_EQ(credentials->ca_pem, "THE CA");
    EXPECT_EQ(credentials->token, "from-file");
    EXPECT_EQ(credentials->tls_server_name, "kubernetes");
    EXPECT_EQ(credentials->default_namespace, "team");
}

TEST_F(CredentialsTest, GivenAListOfFiles_WhenMerged_ThenTheFirstWinsEntryByEntry) {
    const std::string first = write("1", R"(
current-context: one
contexts: [{name: one, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://first"}}]
)");
    const std::string second = write("2", R"(
current-context: two
contexts: [{name: one, context: {cluster: x, user: y}}]
clusters: [{name: c, cluster: {server: "https://second"}}]
users: [{name: u, user: {token: t}}]
)");
    around_.environment["KUBECONFIG"] = (dir_ / "missing").string() + ":" + first + ":" + second;
    const auto credentials = load();
    ASSERT_TRUE(credentials.ok()) << credentials.error().message();
    EXPECT_EQ(credentials->server, "https://first");
    EXPECT_EQ(credentials->token, "t");
}

TEST_F(CredentialsTest, GivenNothingElse_WhenLoaded_ThenTheHomeFileIsUsed) {
    write(".kube/config", R"(
current-context: home
contexts: [{name: home, context: {cluster: c}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:8080", insecure-skip-tls-verify: true}}]
)");
    EXPECT_TRUE(load()->insecure_skip_tls_verify);
}

TEST_F(CredentialsTest, GivenDataAndFile_WhenBothAreSet_ThenDataWins) {
    const std::string config =
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, "
        "user: u}}]\nclusters: [{name: c, cluster: {server: 'https://x', "
        "certificate-authority: /nope, certificate-authority-data: " +
        base64_encode("DATA") +
        "}}]\nusers: [{name: u, user: {client-certificate-data: " + base64_encode("CERT") +
        ", client-key-data: " + base64_encode("KEY") + "}}]\n";
    const auto credentials = load(write("config", config));
    ASSERT_TRUE(credentials.ok()) << credentials.error().message();
    EXPECT_EQ(credentials->ca_pem, "DATA");
    EXPECT_EQ(credentials->client_cert_pem, "CERT");
    EXPECT_EQ(credentials->client_key_pem, "KEY");
}

struct Broken {
    const char* text;
    const char* context;
    std::vector<const char*> message_has;
};

TEST_F(CredentialsTest, GivenABrokenKubeconfig_WhenLoaded_ThenTheErrorNamesFileContextAndField) {
    const std::vector<Broken> cases = {
        {"a: [", "", {"config", "not YAML"}},
        {"- 1", "", {"config", "not a YAML map"}},
        {"clusters: 3", "", {"clusters is not a list"}},
        {"clusters: [{cluster: {}}]", "", {"clusters", "no name"}},
        {kConfig, "nosuch", {"\"nosuch\" does not exist", "broken, lab"}},
        {kConfig, "broken", {"context \"broken\"", "cluster", "\"nowhere\"", "there are: c"}},
        {kConfig, "", {"certificate-authority", "pki/ca.crt", "No such file"}},
        {"contexts: []", "", {"current-context is not set"}},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {server: '127.0.0.1:6443'}}]",
         "",
         {"cluster \"c\"", "server", "no https://"}},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {server: 'https://x', certificate-authority-data: '*'}}]",
         "",
         {"certificate-authority-data", "not base64"}},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"
         "users: [{name: u, user: {exec: {command: aws}}}]",
         "",
         {"user \"u\"", "exec", "not supported"}},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"
         "users: [{name: u, user: {client-certificate-data: QQ==}}]",
         "",
         {"client-certificate", "need each other"}},
    };
    for (const Broken& c : cases) {
        const auto result = load(write("config", c.text), c.context);
        ASSERT_FALSE(result.ok()) << c.text;
        for (const char* part : c.message_has) {
            EXPECT_NE(result.error().message().find(part), std::string::npos)
                << "wanted: " << part << "\ngot: " << result.error().message();
        }
    }
}

TEST_F(CredentialsTest, GivenNoFileAtAll_WhenLoaded_ThenTheErrorNamesWhereItLooked) {
    const auto result = load();
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message().find(".kube/config"), std::string::npos);
    EXPECT_FALSE(find_credentials(around_, {}, clock_).ok());
}

}  // namespace
}  // namespace matriarch::kube
