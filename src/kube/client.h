// Client: the verbs of the Kubernetes API.
//
// Stateless but for the references that it holds; safe from any thread; blocks in the transport
// only (which also caps concurrency). It never repeats a request: callers requeue and observe
// again. A write whose answer was lost is OutcomeUnknown. Writes are sent so that doing one twice
// is harmless (INV-9): apply and merge_patch with resourceVersion are, create answers AlreadyExists
// (then read it live), update and remove carry their preconditions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "kube/resource.h"
#include "kube/transport.h"

namespace matriarch::kube {

// How a call may take its time.
struct Call {
    Duration timeout = kAnswerWithin;
    std::stop_token stop = {};
    Lane lane = Lane::Requests;
};

// Of a list: a page is held as JSON while it is read, which takes ten times its text.
constexpr int kPageSize = 50;

struct ListOptions {
    std::string ns = {};  // empty: all namespaces
    std::string label_selector = {};
    std::string field_selector = {};
    int page_size = kPageSize;
};

struct ListSummary {
    std::string resource_version;  // to watch from
    std::size_t items = 0;
};

struct ApplyOptions {
    std::string field_manager = "matriarch";
    // Controllers own what they apply; without force another manager's field is a Conflict.
    bool force = true;
    std::string subresource = {};  // "status"
};

enum class Propagation { Background, Foreground, Orphan };

struct RemoveOptions {
    // Always give the uid when the decision came from a cache: a new object may have the old name.
    std::string uid = {};
    std::string resource_version = {};
    Propagation propagation = Propagation::Background;
    std::optional<int> grace_period_seconds = {};
};

// One finished request, for metrics. `code` is the HTTP status, or 0 if there was no answer.
struct RequestReport {
    int code = 0;
    std::string_view method;
    Duration took{};
};

class Client {
  public:
    using OnRequest = std::function<void(const RequestReport&)>;  // any thread; must not block
    using OnItem = std::function<void(const nlohmann::json& item)>;

    Client(Transport& transport, const Clock& clock, OnRequest on_request = {});

    Result<nlohmann::json> get(const Resource& resource, const ObjectKey& key,
                               const Call& call = {});

    // Page after page, each dropped before the next is read. Gone means that the listing expired
    // between two pages: forget the items delivered so far and start again.
    Result<ListSummary> list(const Resource& resource, const ListOptions& options,
                             const OnItem& on_item, const Call& call = {});

    Result<nlohmann::json> create(const Resource& resource, const nlohmann::json& object,
                                  const Call& call = {});

    // A question that is asked by POST (TokenReview, SubjectAccessReview): nothing is stored, so
    // asking twice is harmless, and `object` has no name. Answers it with its status.
    Result<nlohmann::json> review(const Resource& resource, const nlohmann::json& object,
                                  const Call& call = {});

    // Server-side apply with fieldValidation=Strict. `object` needs metadata.name; apiVersion and
    // kind are filled in. Send the whole intent each time: an omitted field is removed.
    Result<nlohmann::json> apply(const Resource& resource, const nlohmann::json& object,
                                 const ApplyOptions& options = {}, const Call& call = {});

    // PUT. Refused as Invalid without metadata.resourceVersion: it is the precondition.
    Result<nlohmann::json> update(const Resource& resource, const nlohmann::json& object,
                                  const Call& call = {}, std::string_view subresource = {});

    // JSON merge patch. A non-empty resource_version is the precondition (mismatch: Conflict).
    Result<nlohmann::json> merge_patch(const Resource& resource, const ObjectKey& key,
                                       const std::string& resource_version,
                                       const nlohmann::json& patch, const Call& call = {},
                                       std::string_view subresource = {});

    // Success also if deletion only began (finalizers, grace). NotFound if it is gone already;
    // a failed precondition is Conflict.
    Status remove(const Resource& resource, const ObjectKey& key, const RemoveOptions& options = {},
                  const Call& call = {});

    // Any other GET that answers JSON: "/version", "/apis/matriarch.dev/v1alpha1".
    Result<nlohmann::json> get_path(const std::string& target, const Call& call = {});

    Transport& transport() { return transport_; }

  private:
    Result<nlohmann::json> exchange(Request request, std::string_view doing, const Call& call,
                                    std::shared_ptr<const nlohmann::json> body = {});

    Transport& transport_;
    const Clock& clock_;
    OnRequest on_request_;
};

}  // namespace matriarch::kube
