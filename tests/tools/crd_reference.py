"""Writes docs/reference.md, every field of the CRD, to standard output.

    python3 tests/tools/crd_reference.py crds/postgresclusters.matriarch.dev.yaml
"""

import json
import sys

import yaml

HEAD = """\
# Reference

Every field of `{kind}` ({group}/{version}, short name `{short}`), made from
[the CRD](../{path}) by `make manifests`. A field that is left out takes its default.
The API server checks the limits and the rules when you apply, and its messages are the rules below.
"""


def kind_of(schema):
    if schema.get("x-kubernetes-int-or-string"):
        return "number or text"
    kind = schema.get("type", "")
    if kind == "array":
        return "list of " + kind_of(schema["items"])
    if kind == "object" and "additionalProperties" in schema:
        return "map to " + kind_of(schema["additionalProperties"])
    return {"string": "text", "integer": "number", "boolean": "true or false"}.get(kind, kind)


def limits_of(schema):
    inner = schema.get("items") or schema.get("additionalProperties") or {}
    parts = []
    for place in (schema, inner):
        if "enum" in place:
            parts.append(", ".join(f"`{value}`" for value in place["enum"]))
        low, high = place.get("minimum"), place.get("maximum")
        if low is not None and high is not None:
            parts.append(f"{low}–{high}")
        elif low is not None:
            parts.append(f"≥ {low}")
    for key in ("maxItems", "maxProperties"):
        if key in schema:
            parts.append(f"at most {schema[key]}")
    return "; ".join(parts)


def default_of(schema):
    if "default" not in schema or (schema.get("type") == "object" and "properties" in schema):
        return ""
    value = schema["default"]
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def walk(schema, path):
    """Yields (path, schema) of every field, parents first."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, child
        yield from walk(child, here)
        if child.get("items", {}).get("properties"):
            yield from walk(child["items"], here + "[]")


def rules(schema, path=""):
    for rule in schema.get("x-kubernetes-validations", []):
        message = rule["message"]
        # The API server puts the field before the message; some messages rely on it.
        named = "spec." in message or not path
        yield message if named else f"{path}: {message}"
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}" if path else name)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from rules(schema[key], path + "[]")


def table(fields, with_defaults):
    head = ["field", "type", "limits", "default", "meaning"]
    rows = []
    for path, schema in fields:
        row = [f"`{path}`", kind_of(schema), limits_of(schema), default_of(schema),
               schema.get("description", "")]
        rows.append(row)
    if not with_defaults:
        head, rows = [head[0], head[1], head[4]], [[r[0], r[1], r[4]] for r in rows]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell(text) for text in row) + " |"


def main(path):
    with open(path, encoding="utf-8") as file:
        crd = yaml.safe_load(file)["spec"]
    version = crd["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    missing = [name for part in (spec, status) for name, field in walk(part, "")
               if not field.get("description")]
    if missing:
        sys.exit(f"{path}: no description of " + ", ".join(missing))

    print(HEAD.format(kind=crd["names"]["kind"], group=crd["group"], version=version["name"],
                      short=crd["names"]["shortNames"][0], path=path))
    print("## Contents\n")
    for name in spec["properties"]:
        anchor = f"spec{name}".lower()
        if "properties" in spec["properties"][name]:
            print(f"- [spec.{name}](#{anchor})")
    print("- [Rules](#rules)\n- [Status](#status)\n- [Columns and scale](#columns-and-scale)\n")
    print(f"## spec\n\n{spec['description']}\n")
    top = {name: field for name, field in spec["properties"].items() if "properties" not in field}
    print(*table(walk({"properties": top}, "spec"), True), sep="\n")
    for name, field in spec["properties"].items():
        if "properties" not in field:
            continue
        print(f"\n## spec.{name}\n\n{field['description']}\n")
        print(*table(walk(field, f"spec.{name}"), True), sep="\n")
    print("\n## Rules\n\nWhat is refused, in the words of the message:\n")
    for message in dict.fromkeys(rules(schema)):
        print("- " + message.replace("<", "&lt;"))
    print(f"\n## Status\n\n{status['description']}\n")
    print(*table(walk(status, "status"), False), sep="\n")
    scale = version["subresources"]["scale"]
    print("\n## Columns and scale\n\n`kubectl get pgc` shows:\n")
    print("| column | from | meaning |\n|---|---|---|")
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        print(f"| {column['name']}{wide} | `{cell(column['jsonPath'])}` |"
              f" {cell(column.get('description', ''))} |")
    print(f"\n`kubectl scale` and autoscalers set `{scale['specReplicasPath'][1:]}`; they read"
          f" `{scale['statusReplicasPath'][1:]}` and `{scale['labelSelectorPath'][1:]}`.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
