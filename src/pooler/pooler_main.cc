// matriarch-pooler: flags and environment; everything else is in run.h.
#include "agent/command_line.h"
#include "kube/cpprest_transport.h"
#include "pooler/run.h"

int main(int argc, char** argv) {
    using namespace matriarch;
    kube::prepare_process();
    CLI::App app("Runs one PgBouncer of a Matriarch cluster and keeps it at the cluster's routes.");
    app.require_subcommand(1);
    const agent::LogFlags logging(app);

    const agent::InstallCommand install(app, "pooler", "PgBouncer");

    auto* run = app.add_subcommand("run", "Runs PgBouncer");
    pooler::RunOptions o;
    int grace = 60;
    run->add_option("--cluster", o.cluster)->envname("MATRIARCH_CLUSTER")->required();
    run->add_option("--database", o.place.database)->envname("MATRIARCH_DATABASE")->required();
    run->add_option("--namespace", o.name_space)->envname("POD_NAMESPACE")->required();
    run->add_option("--pod", o.pod, "this pod's name")->envname("POD_NAME")->required();
    run->add_option("--secret-dir", o.place.secret_dir, "tls.crt, tls.key, ca.crt, userlist.txt");
    run->add_option("--run-dir", o.place.run_dir, "for pgbouncer.ini and its socket");
    run->add_option("--program", o.program, "PgBouncer's; searched for if empty");
    run->add_option("--listen", o.place.listen, "PgBouncer's listen_addr");
    run->add_option("--port", o.place.port, "PgBouncer's");
    run->add_option("--bind", o.bind_address, "address of the health port; empty: all");
    run->add_option("--health-port", o.health_port);
    run->add_option("--kubeconfig", o.kubeconfig, "default: in-cluster");
    run->add_option("--grace", grace, "seconds from SIGTERM to SIGKILL")
        ->envname("MATRIARCH_GRACE_SECONDS");
    CLI11_PARSE(app, argc, argv);

    logging.apply();

    if (install) return install.run();
    o.grace = std::chrono::seconds(grace);
    return pooler::run(o);
}
