#include "lease_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/files.h"

namespace matriarch::testing {
namespace {

using Json = nlohmann::json;
constexpr const char* kPath = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/orders";

}  // namespace

LeaseServer::LeaseServer(Lab& lab) : folder_(lab.folder + "/account") {
    EXPECT_TRUE(agent::make_directory(folder_, 0755));
    EXPECT_TRUE(agent::write_file(folder_ + "/token", "let-me-in\n", agent::Durable::No, 0644));
    EXPECT_TRUE(agent::write_file(folder_ + "/ca.crt", lab.ca_pem(), agent::Durable::No, 0644));
    net::ServerOptions options;
    options.bind_address = "127.0.0.1";
    options.tls = lab.server_identity();
    options.client_certificate = net::ClientCertificate::NotAsked;
    auto started = net::HttpServer::start(
        options,
        [this](net::HttpRequest request, net::Responder responder) {
            responder.answer(answer(request));
        },
        lab.clock);
    EXPECT_TRUE(started);
    if (started) server_ = std::move(*started);
}

LeaseServer::~LeaseServer() {
    server_->stop();
}

void LeaseServer::put(const AuthorityRecord& record) {
    Json lease;
    record_to_lease(record, lease);
    const std::lock_guard lock(mutex_);
    lease["metadata"]["resourceVersion"] = std::to_string(++version_);
    lease_ = lease.dump();
}

net::HttpResponse LeaseServer::answer(const net::HttpRequest& request) {
    if (request.headers.get("Authorization") != "Bearer let-me-in")
        return net::text_response(401, "who?");
    if (request.path != kPath) return net::text_response(404, "no such thing");
    const std::lock_guard lock(mutex_);
    if (request.method == "GET") return net::json_response(200, lease_);
    Json fresh = Json::parse(request.body, nullptr, false);
    if (conflict_.exchange(false)) ++version_;
    auto stored = Json::parse(lease_);
    stored["metadata"]["resourceVersion"] = std::to_string(version_);
    lease_ = stored.dump();
    if (fresh["metadata"]["resourceVersion"] != std::to_string(version_))
        return net::text_response(409, "conflict");
    if (!fresh["spec"]["renewTime"].is_string()) return net::text_response(422, "no renewTime");
    fresh["metadata"]["resourceVersion"] = std::to_string(++version_);
    lease_ = fresh.dump();
    ++renewals_;
    return net::json_response(200, lease_);
}

std::vector<std::string> LeaseServer::agent_flags() const {
    return {"--api-host",  "127.0.0.1", "--api-port",    std::to_string(server_->bound_port()),
            "--namespace", "shop",      "--account-dir", folder_};
}

}  // namespace matriarch::testing
