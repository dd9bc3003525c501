#!/bin/bash
# The first process of a node, in namespaces of its own (mount, pid, uts, ipc, and the
# network of the node). It gives the node its own folders over the machine's, then keeps
# containerd, kubelet and kube-proxy running. Killing it from outside is a power-off.
#   node-init.sh NAME FOLDER BIN VOLUMES
set -eu
name=$1 folder=$2 bin=$3 volumes=$4

hostname "$name"
mount -t proc proc /proc
mkdir -p "$folder"/{kubelet,containerd,cni-conf,cni,pod-logs,container-logs,logs}
mkdir -p /var/lib/kubelet /var/lib/containerd /etc/cni/net.d /var/lib/cni \
         /var/log/pods /var/log/containers /tmp/hostpath_pv
mount --bind "$folder/kubelet" /var/lib/kubelet
mount --make-shared /var/lib/kubelet # volumes that a pod mounts are to be seen by others
mount --bind "$folder/containerd" /var/lib/containerd
mount --bind "$folder/cni-conf" /etc/cni/net.d
mount --bind "$folder/cni" /var/lib/cni
mount --bind "$folder/pod-logs" /var/log/pods
mount --bind "$folder/container-logs" /var/log/containers
mount --bind "$volumes" /tmp/hostpath_pv # the storage that all nodes share
# No name server: a pull from a registry fails at once instead of after its timeouts.
mount --bind /dev/null "$(readlink -f /etc/resolv.conf)"
# Sockets, and namespaces of pods: gone with the node, as after a real power-off.
mount -t tmpfs -o mode=755 tmpfs /run

# A program that ends is started again a second later, like any service manager does it.
keep_running() {
    local log=$folder/logs/$1.log
    shift
    while :; do
        "$@" >>"$log" 2>&1 || echo "ended with exit status $?" >>"$log"
        sleep 1
    done
}

keep_running containerd containerd --config "$folder/containerd.toml" &

# The kubelet gives up when the runtime does not answer.
for _ in {1..600}; do
    [ -S /run/containerd/containerd.sock ] && break
    sleep 0.05
done

keep_running kubelet "$bin/kubelet" --config "$folder/kubelet.yaml" \
    --kubeconfig "$folder/kubelet.kubeconfig" --hostname-override "$name" \
    --node-ip "$(<"$folder/address")" &
# shellcheck disable=SC2046  # a flag is a word
keep_running kube-proxy "$bin/kube-proxy" --kubeconfig "$folder/kube-proxy.kubeconfig" \
    $(<"$folder/kube-proxy.flags") &

wait # and so reap what containers leave behind
