"""The pods of a cluster's pooler, and what they tell."""

import json


def pooler_pods(cluster):
    return cluster.kube.list("pod", cluster.namespace,
                             f"matriarch.dev/cluster={cluster.name},app.kubernetes.io/component=pooler")


def reloads(cluster):
    """Of every pod: milliseconds from each change of the routes that it saw to PgBouncer's reload. The first one, which
    starts PgBouncer, is left out."""
    return [took for pod in pooler_pods(cluster) for took in
            [json.loads(line)["took"] for line in cluster.kube.logs(cluster.namespace, pod["metadata"]["name"]).splitlines()
             if '"follows"' in line][1:]]
