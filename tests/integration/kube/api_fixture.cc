#include "api_fixture.h"

#include <cstdlib>
#include <thread>

namespace matriarch::kube::testing {
namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

}  // namespace

void ApiTest::SetUp() {
    ASSERT_FALSE(variable("KUBECONFIG").empty() || variable("MATRIARCH_LAB").empty())
        << "KUBECONFIG and MATRIARCH_LAB (the path of tests/lab/lab) must be set: use "
           "`make integration`, or `eval \"$(tests/lab/lab env)\"` after `lab up --api-only`";
    const Result<Credentials> credentials = load_kubeconfig(Surroundings::of_process(), {});
    ASSERT_TRUE(credentials.ok()) << credentials.error().message();
    credentials_ = *credentials;
    transport_ = transport();
    client_ = std::make_unique<Client>(*transport_, clock_);
    ns_ = "kube-test-" + random_.hex(6);
    const auto created = client_->create(kNamespaces, {{"metadata", {{"name", ns_}}}});
    ASSERT_TRUE(created.ok()) << created.error().message();
}

void ApiTest::TearDown() {
    if (server_touched_) {
        lab("apiserver resume");
        lab("apiserver start");
    }
    if (client_ && !ns_.empty()) (void)client_->remove(kNamespaces, {"", ns_});
    client_.reset();
    transport_.reset();
}

void ApiTest::lab(const std::string& arguments) {
    server_touched_ = true;
    const std::string command = variable("MATRIARCH_LAB") + " " + arguments + " >&2";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

bool ApiTest::eventually(const std::function<bool()>& condition, Duration within) const {
    const Deadline deadline = Deadline::after(clock_, within);
    while (!condition()) {
        if (deadline.passed(clock_)) return false;
        std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
}

std::unique_ptr<CpprestTransport> ApiTest::transport(
    const std::function<void(Credentials&)>& change) {
    Credentials credentials = credentials_;
    if (change) change(credentials);
    sources_.push_back(std::make_unique<StaticCredentials>(std::move(credentials)));
    return std::make_unique<CpprestTransport>(*sources_.back(), clock_);
}

}  // namespace matriarch::kube::testing
