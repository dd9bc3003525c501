// HTTP messages as plain values, without a socket in sight.
//
// Handlers, the client, health pages and tests exchange these, so none of them sees the HTTP
// library. Header names compare without regard to case (RFC 9110 5.1). Values; copy them freely
// between threads. Nothing here fails: what is missing reads as empty.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace matriarch::net {

class Headers {
  public:
    // nullptr if absent; the first one if repeated.
    const std::string* find(std::string_view name) const;
    // Empty if absent.
    std::string get(std::string_view name) const;
    // Replaces every header of that name.
    void set(std::string_view name, std::string_view value);
    void add(std::string_view name, std::string_view value);

    bool empty() const { return items_.empty(); }
    std::size_t size() const { return items_.size(); }
    auto begin() const { return items_.begin(); }
    auto end() const { return items_.end(); }

  private:
    std::vector<std::pair<std::string, std::string>> items_;
};

struct HttpRequest {
    std::string method = "GET";
    std::string target = "/";  // as sent: path[?query]
    std::string path;          // filled by the server: target up to '?'; a client leaves it empty
    std::string query;         // filled by the server: what follows '?', still percent-encoded
    Headers headers;
    std::string body;
    std::string peer_name;     // server only: CN of the verified client certificate, or empty
    std::string peer_address;  // server only: where the connection comes from, without the port

    // Percent-decoded values of ?name=…, in their order. A bare ?name gives one empty value.
    std::vector<std::string> query_values(std::string_view name) const;
    // The first of them.
    std::optional<std::string> query_value(std::string_view name) const;
};

struct HttpResponse {
    int status = 200;
    std::string content_type;  // empty: no such header
    std::string body;
    Headers headers;

    bool success() const { return status >= 200 && status < 300; }
};

// A plain-text and a JSON answer, for handlers.
HttpResponse text_response(int status, std::string body);
HttpResponse json_response(int status, std::string body);

// "Not Found" for 404; "Status" for a number that has no name.
std::string_view reason_phrase(int status);

// Fills path and query from target.
void split_target(HttpRequest& request);

}  // namespace matriarch::net
