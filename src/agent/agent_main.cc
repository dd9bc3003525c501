// matriarch-agent: flags and environment; everything else is in run.h and install.h.
#include "agent/command_line.h"
#include "agent/run.h"

int main(int argc, char** argv) {
    using namespace matriarch;
    CLI::App app("Runs one PostgreSQL instance of a Matriarch cluster.");
    app.require_subcommand(1);
    const agent::LogFlags logging(app);

    const agent::InstallCommand install(app, "agent", "PostgreSQL");

    auto* run = app.add_subcommand("run", "Makes, runs and watches PostgreSQL");
    agent::RunOptions o;
    int grace = 30;
    run->add_option("--cluster", o.cluster)->envname("MATRIARCH_CLUSTER")->required();
    run->add_option("--instance", o.instance)->envname("MATRIARCH_INSTANCE")->required();
    run->add_option("--pod-uid", o.pod_uid)->envname("POD_UID")->required();
    run->add_option("--pod-ip", o.pod_ip)->envname("POD_IP");
    run->add_option("--data-root", o.paths.root, "the volume");
    run->add_option("--tls-dir", o.paths.tls_dir, "tls.crt, tls.key, ca.crt");
    run->add_option("--socket-dir", o.paths.socket_dir, "an emptyDir of the pod, in memory");
    run->add_option("--pod-dir", o.paths.pod_dir, "a folder of the pod, on its node's disk");
    run->add_option("--bin-dir", o.bin_dir, "PostgreSQL's programs; searched for if empty");
    run->add_option("--order-port", o.order_port);
    run->add_option("--health-port", o.health_port);
    run->add_option("--port", o.port, "PostgreSQL's");
    run->add_option("--listen", o.listen, "PostgreSQL's listen_addresses");
    run->add_option("--bind", o.bind_address, "address of the agent's own ports; empty: all");
    run->add_option("--namespace", o.name_space)->envname("POD_NAMESPACE");
    run->add_option("--peer-domain", o.peer_domain,
                    "where the pods of the other instances are in DNS; empty: "
                    "<cluster>-instances.<namespace>.svc")
        ->envname("MATRIARCH_PEER_DOMAIN");
    run->add_option("--peer", o.peers, "INSTANCE=ADDRESS:PORT of an agent that is elsewhere");
    run->add_option("--api-host", o.api_host, "the Kubernetes API")
        ->envname("KUBERNETES_SERVICE_HOST");
    run->add_option("--api-port", o.api_port)->envname("KUBERNETES_SERVICE_PORT");
    run->add_option("--account-dir", o.account_dir, "the service account's token and ca.crt");
    run->add_option("--grace", grace, "seconds from SIGTERM to SIGKILL")
        ->envname("MATRIARCH_GRACE_SECONDS");

    auto* restore = app.add_subcommand("restore", "PostgreSQL's restore_command during a rescue");
    std::string from, file, target;
    restore->add_option("--from", from)->required();
    restore->add_option("FILE", file)->required();
    restore->add_option("TARGET", target)->required();

    CLI11_PARSE(app, argc, argv);

    logging.apply();

    if (install) return install.run();
    if (*restore) return agent::restore(from, file, target);
    o.grace = std::chrono::seconds(grace);
    return agent::run(o);
}
