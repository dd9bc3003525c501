// What the integration tests of kube share: the API server that KUBECONFIG names, a namespace per
// test, faults by the lab program, and waiting for conditions.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kube/client.h"
#include "kube/cpprest_transport.h"
#include "kube/credentials.h"

namespace matriarch::kube::testing {

using nlohmann::json;

class ApiTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    // Runs the lab program: lab("apiserver kill"). Fails the test if it fails.
    void lab(const std::string& arguments);
    // True once `condition` holds; false after `within`.
    bool eventually(const std::function<bool()>& condition, Duration within = seconds(30)) const;
    // A further connection, with credentials changed by `change`.
    std::unique_ptr<CpprestTransport> transport(
        const std::function<void(Credentials&)>& change = {});

    json config_map(const std::string& name, const json& data = json::object(),
                    const json& labels = json::object()) const {
        return {{"metadata", {{"name", name}, {"namespace", ns_}, {"labels", labels}}},
                {"data", data}};
    }
    ObjectKey key(const std::string& name) const { return {ns_, name}; }
    bool exists(const std::string& name) { return client_->get(kConfigMaps, key(name)).ok(); }

    SystemClock clock_;
    SystemRandom random_;
    Credentials credentials_;
    std::vector<std::unique_ptr<CredentialSource>> sources_;
    std::unique_ptr<CpprestTransport> transport_;
    std::unique_ptr<Client> client_;
    std::string ns_;
    bool server_touched_ = false;
};

inline std::string version_of(const json& object) {
    return object["metadata"]["resourceVersion"];
}

}  // namespace matriarch::kube::testing
