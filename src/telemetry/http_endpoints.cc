#include "telemetry/http_endpoints.h"

namespace matriarch::telemetry {

void mount_metrics(net::Router& router, const Registry& registry) {
    router.on("GET", "/metrics", [&registry](net::HttpRequest, net::Responder responder) {
        net::HttpResponse response;
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        response.body = registry.text();
        responder.answer(std::move(response));
    });
}

void mount_health(net::Router& router, const HealthChecks& checks) {
    router.on_prefix("GET", '/' + checks.name(),
                     [&checks](net::HttpRequest request, net::Responder responder) {
                         responder.answer(checks.answer(request));
                     });
}

}  // namespace matriarch::telemetry
