"""Certificates, all signed by the lab's own authority, and kubeconfigs made of them.

Kubernetes takes user and groups from a certificate's CN and O.
"""

import base64
import json

from .settings import API_PORT, API_SERVICE_IP, BRIDGE_IP
from .shell import run

CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
PROXY = "system:kube-proxy"
DNS = "system:coredns"

INSIDE = f"https://{BRIDGE_IP}:{API_PORT}"


def create_authority(lab):
    lab.pki.mkdir(parents=True, exist_ok=True)
    lab.pki.chmod(0o700)
    if not (lab.pki / "ca.crt").exists():
        new_key(lab, "ca")
        request(lab, "ca", "/CN=matriarch lab", "-x509", "-days", "3650",
                "-addext", "basicConstraints=critical,CA:true",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    if not (lab.pki / "service-accounts.key").exists():
        new_key(lab, "service-accounts")


def new_key(lab, name):
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout",
        "-out", lab.pki / f"{name}.key")


def request(lab, name, subject, *options):
    """Renamed into place when complete: a certificate that is there is whole."""
    partial = lab.pki / f"{name}.partial"
    run("openssl", "req", "-new", "-key", lab.pki / f"{name}.key", "-subj", subject,
        "-out", partial, *options)
    partial.rename(lab.pki / f"{name}.crt")


def certificate(lab, name, common_name, organisation=None, hosts=()):
    """The paths (certificate, key), made when they are missing."""
    if not (lab.pki / f"{name}.crt").exists():
        subject = (f"/O={organisation}" if organisation else "") + f"/CN={common_name}"
        options = ["-x509", "-days", "3650",
                   "-CA", lab.pki / "ca.crt", "-CAkey", lab.pki / "ca.key",
                   "-addext", "basicConstraints=critical,CA:false",
                   "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        if hosts:
            names = ",".join(("IP:" if host[0].isdigit() else "DNS:") + host for host in hosts)
            options += ["-addext", f"subjectAltName={names}"]
        new_key(lab, name)
        request(lab, name, subject, *options)
    return lab.pki / f"{name}.crt", lab.pki / f"{name}.key"


def server_certificate(lab):
    return certificate(lab, "kube-apiserver", "kube-apiserver", hosts=(
        "127.0.0.1", BRIDGE_IP, API_SERVICE_IP, "localhost", "kubernetes", "kubernetes.default",
        "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"))


def admin_certificate(lab):
    return certificate(lab, "admin", "lab-admin", "system:masters")


def kubeconfig(lab, path, server, pair):
    """Self-contained, so that it can be copied. (JSON is YAML.)"""
    def data(file):
        return base64.b64encode(file.read_bytes()).decode()
    certificate_file, key_file = pair
    name = f"matriarch-{lab.name}"
    content = {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {
            "server": server, "certificate-authority-data": data(lab.pki / "ca.crt")}}],
        "users": [{"name": name, "user": {
            "client-certificate-data": data(certificate_file), "client-key-data": data(key_file)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.rename(path)
    return path


def component_kubeconfig(lab, name, common_name, organisation=None, server=INSIDE):
    return kubeconfig(lab, lab.pki / f"{name}.kubeconfig", server,
                      certificate(lab, name, common_name, organisation))
