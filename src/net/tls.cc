#include "net/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>
#include <mutex>
#include <optional>

#include "net/tls_identity_impl.h"

namespace matriarch::net {

Result<std::shared_ptr<const TlsIdentity>> TlsIdentity::parse(const std::string& chain_pem,
                                                              const std::string& key_pem,
                                                              const std::string& ca_pem) {
    auto impl = std::make_unique<Impl>();
    auto authorities = read_certificates(ca_pem);
    if (!authorities)
        return make_error(ErrorKind::Invalid, "TLS CA", authorities.error().message());
    impl->trusted.reset(X509_STORE_new());
    for (const auto& authority : *authorities)
        if (X509_STORE_add_cert(impl->trusted.get(), authority.get()) != 1)
            return openssl_error(ErrorKind::Invalid, "TLS CA");

    if (!chain_pem.empty() || !key_pem.empty()) {
        auto chain = read_certificates(chain_pem);
        if (!chain)
            return make_error(ErrorKind::Invalid, "TLS certificate", chain.error().message());
        auto key = read_key(key_pem);
        if (!key) return make_error(ErrorKind::Invalid, "TLS key", key.error().message());
        impl->certificate = std::move(chain->front());
        for (std::size_t i = 1; i < chain->size(); ++i)
            impl->chain.push_back(std::move((*chain)[i]));
        impl->key = std::move(*key);
        ERR_clear_error();
        if (X509_check_private_key(impl->certificate.get(), impl->key.get()) != 1)
            return openssl_error(ErrorKind::Invalid, "TLS key and certificate do not match");
        tm end{};
        ASN1_TIME_to_tm(X509_get0_notAfter(impl->certificate.get()), &end);
        impl->not_after = std::chrono::system_clock::from_time_t(timegm(&end));
    }
    return std::shared_ptr<const TlsIdentity>(new TlsIdentity(std::move(impl)));
}

TlsIdentity::TlsIdentity(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsIdentity::~TlsIdentity() = default;

WallTime TlsIdentity::not_after() const {
    return impl_->not_after;
}

struct MemoryIdentity::Impl {
    std::mutex mutex;
    std::shared_ptr<const TlsIdentity> identity;
};

MemoryIdentity::MemoryIdentity(std::shared_ptr<const TlsIdentity> identity)
    : impl_(std::make_unique<Impl>()) {
    impl_->identity = std::move(identity);
}
MemoryIdentity::~MemoryIdentity() = default;

Result<std::shared_ptr<const TlsIdentity>> MemoryIdentity::current() {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->identity) return make_error(ErrorKind::Unavailable, "no TLS identity yet");
    return impl_->identity;
}

void MemoryIdentity::replace(std::shared_ptr<const TlsIdentity> identity) {
    const std::lock_guard lock(impl_->mutex);
    impl_->identity = std::move(identity);
}

FileIdentity::Paths FileIdentity::Paths::in(const std::string& directory) {
    return {directory + "/tls.crt", directory + "/tls.key", directory + "/ca.crt"};
}

namespace {

// What tells a file from the one that was there before. The kubelet replaces a Secret's files by
// turning the link ..data to a new directory, so stat() through it shows another inode.
std::string look_of(const std::string& path) {
    struct stat st {};
    if (stat(path.c_str(), &st) != 0) return "none";
    return std::to_string(st.st_dev) + ':' + std::to_string(st.st_ino) + ':' +
           std::to_string(st.st_size) + ':' + std::to_string(st.st_mtim.tv_sec) + '.' +
           std::to_string(st.st_mtim.tv_nsec);
}

Result<std::string> read_file(const std::string& path) {
    constexpr std::size_t kLargest = 1024 * 1024;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return make_error(ErrorKind::NotFound, "can't read " + path);
    std::string out;
    char piece[4096];
    ssize_t got = 0;
    while (out.size() < kLargest && (got = read(fd, piece, sizeof piece)) > 0)
        out.append(piece, static_cast<std::size_t>(got));
    close(fd);
    if (got != 0) return make_error(ErrorKind::Invalid, "can't read all of " + path);
    return out;
}

}  // namespace

struct FileIdentity::Impl {
    Impl(Paths p, const Clock& c) : paths(std::move(p)), clock(c) {}

    const Paths paths;
    const Clock& clock;
    std::mutex mutex;
    std::optional<TimePoint> looked;
    std::string look;  // of the files that `identity` was read from
    std::shared_ptr<const TlsIdentity> identity;
    Reads reads;

    std::string look_now() const {
        return look_of(paths.chain) + ' ' + look_of(paths.key) + ' ' + look_of(paths.ca);
    }

    Result<std::shared_ptr<const TlsIdentity>> read() const {
        const bool silent = paths.chain.empty();  // a client that shows no certificate
        const auto chain = silent ? Result<std::string>("") : read_file(paths.chain);
        if (!chain) return chain.error();
        const auto key = silent ? Result<std::string>("") : read_file(paths.key);
        if (!key) return key.error();
        const auto ca = read_file(paths.ca);
        if (!ca) return ca.error();
        return TlsIdentity::parse(*chain, *key, *ca);
    }

    void refresh() {
        // Before reading: if the files change meanwhile, the next look sees it.
        const auto found = look_now();
        if (identity && found == look) return;
        auto fresh = read();
        if (fresh) {
            identity = *fresh;
            look = found;
            ++reads.good;
        } else {
            ++reads.failed;
            reads.last_error = fresh.error().message();
        }
    }
};

FileIdentity::FileIdentity(Paths paths, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(paths), clock)) {}
FileIdentity::~FileIdentity() = default;

Result<std::shared_ptr<const TlsIdentity>> FileIdentity::current() {
    const std::lock_guard lock(impl_->mutex);
    const auto now = impl_->clock.now();
    if (!impl_->looked || now - *impl_->looked >= seconds(1)) {
        impl_->looked = now;
        impl_->refresh();
    }
    if (!impl_->identity)
        return make_error(ErrorKind::Unavailable, "no TLS identity yet", impl_->reads.last_error);
    return impl_->identity;
}

FileIdentity::Reads FileIdentity::reads() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->reads;
}

}  // namespace matriarch::net
