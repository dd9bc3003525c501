"""The few questions that the lab itself asks the API server, from the machine's side."""

import http.client
import json
import ssl

from . import pki
from .shell import LabError


def get(lab, path, seconds=5):
    """(status, body) of a GET; None when no answer came."""
    port = lab.load().get("port")
    if not port:
        return None
    context = ssl.create_default_context(cafile=lab.pki / "ca.crt")
    context.load_cert_chain(*pki.admin_certificate(lab))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, context=context)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def ready(lab):
    answer = get(lab, "/readyz", 2)
    return answer is not None and answer[0] == 200


def items(lab, path):
    answer = get(lab, path)
    if answer is None or answer[0] != 200:
        what = "no answer" if answer is None else f"status {answer[0]}"
        raise LabError(f"the API server does not serve {path}: {what}; see: lab logs kube-apiserver")
    return json.loads(answer[1])["items"]


def node_condition(lab, name):
    """(status, time of the last heartbeat) of a node's condition Ready."""
    answer = get(lab, f"/api/v1/nodes/{name}", 2)
    if answer is None or answer[0] != 200:
        return "Absent", ""
    for condition in json.loads(answer[1])["status"].get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"], condition["lastHeartbeatTime"]
    return "Unknown", ""
