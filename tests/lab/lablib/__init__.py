"""The lab, one idea a file; read in this order:

settings      what a lab is called, where it lives, which addresses it uses
shell         running commands, waiting for conditions, errors that help
process       long-running programs, known by pid and start time
network       network namespaces: one for the control plane, one for each node
cgroups       version 1 and 2: a group for each node, freezing it
binaries      Kubernetes, CoreDNS and Helm, built once into the cache
pki           certificates and kubeconfigs
controlplane  etcd, kube-apiserver, controller-manager, scheduler, DNS
node          containerd, kubelet and kube-proxy in namespaces that can be switched off
storage       the two storage classes
images        images without a registry: buildah, base images, import into nodes
lab           up, down, status: the parts in their order
cli           the command line
"""
