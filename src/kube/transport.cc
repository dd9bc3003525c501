#include "kube/transport.h"

#include "kube/json_access.h"
#include "kube/line_splitter.h"

namespace matriarch::kube {

Result<JsonResponse> Transport::send_json(Request request, std::shared_ptr<const Json> body,
                                          Deadline deadline, std::stop_token stop) {
    // Bytes that are not UTF-8 must not throw: they become U+FFFD and the server may refuse them.
    if (body) request.body = body->dump(-1, ' ', false, Json::error_handler_t::replace);
    Result<Response> answer = send(request, deadline, std::move(stop));
    if (!answer) return answer.error();
    JsonResponse out{std::move(*answer), nullptr};
    if (auto json = parse_json(out.body)) out.json = std::make_shared<Json>(std::move(*json));
    return out;
}

Result<Response> Transport::stream_events(const Request& request, const OnEvent& on_event,
                                          Duration idle, std::stop_token stop) {
    LineSplitter lines;
    const auto on_line = [&](std::string_view line) {
        const std::optional<Json> event = parse_json(line);
        const Json* object = event ? find_path(*event, {"object"}) : nullptr;
        if (!object || !object->is_object()) return on_event({});
        return on_event({get_string(*event, {"type"}), object});
    };
    return stream(
        request, [&](std::string_view chunk) { return lines.feed(chunk, on_line); }, idle,
        std::move(stop));
}

}  // namespace matriarch::kube
