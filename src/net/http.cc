#include "net/http.h"

#include <algorithm>

namespace matriarch::net {

namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// A '%' that two hex digits do not follow stays as it is.
std::string decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            out += ' ';
        } else if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                   hex_value(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace

const std::string* Headers::find(std::string_view name) const {
    const auto it = std::find_if(items_.begin(), items_.end(),
                                 [&](const auto& item) { return same_name(item.first, name); });
    return it == items_.end() ? nullptr : &it->second;
}

std::string Headers::get(std::string_view name) const {
    const auto* value = find(name);
    return value == nullptr ? std::string() : *value;
}

void Headers::set(std::string_view name, std::string_view value) {
    std::erase_if(items_, [&](const auto& item) { return same_name(item.first, name); });
    add(name, value);
}

void Headers::add(std::string_view name, std::string_view value) {
    items_.emplace_back(name, value);
}

std::vector<std::string> HttpRequest::query_values(std::string_view name) const {
    std::vector<std::string> out;
    std::string_view rest = query;
    while (!rest.empty()) {
        const auto pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        const auto equals = pair.find('=');
        if (decode(pair.substr(0, equals)) != name) continue;
        out.push_back(equals == pair.npos ? std::string() : decode(pair.substr(equals + 1)));
    }
    return out;
}

std::optional<std::string> HttpRequest::query_value(std::string_view name) const {
    auto values = query_values(name);
    if (values.empty()) return std::nullopt;
    return std::move(values.front());
}

HttpResponse text_response(int status, std::string body) {
    return {status, "text/plain; charset=utf-8", std::move(body), {}};
}

HttpResponse json_response(int status, std::string body) {
    return {status, "application/json", std::move(body), {}};
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 412:
            return "Precondition Failed";
        case 413:
            return "Content Too Large";
        case 416:
            return "Range Not Satisfiable";
        case 421:
            return "Misdirected Request";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return "Status";
    }
}

void split_target(HttpRequest& request) {
    const auto question = request.target.find('?');
    request.path = request.target.substr(0, question);
    request.query =
        question == std::string::npos ? std::string() : request.target.substr(question + 1);
}

}  // namespace matriarch::net
