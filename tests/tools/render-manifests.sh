#!/bin/sh
# Makes what is derived from crds/ and charts/: the chart's copy of the CRD, manifests/install.yaml,
# docs/reference.md. With --check it changes nothing and fails if one of them is not current.
# HELM and PYTHON may name the programs; without HELM it is the one of the path, or of the lab's cache.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
helm=${HELM:-$(command -v helm || ls -t "${MATRIARCH_CACHE:-$HOME/.cache/matriarch}"/helm-*/helm 2>/dev/null | head -1)}
[ -n "$helm" ] || { echo "no helm: install it, or let tests/lab/lab up --api-only build it" >&2; exit 2; }
python=${PYTHON:-python3}
namespace=matriarch-system
crd=crds/postgresclusters.matriarch.dev.yaml
# The oldest Kubernetes that the chart supports; no template asks for another.
kubernetes=1.29.0

case "${1:-}" in
    "" | --check) mode=${1:-write} ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$root"

# A copy of the chart, so that --check renders with the CRD of crds/ and touches nothing.
cp -R charts/matriarch "$work/chart"
cp "$crd" "$work/chart/files/"
{
    echo "# The operator in the namespace $namespace, made from charts/matriarch: make manifests"
    echo "#     kubectl apply --server-side -f manifests/install.yaml"
    cat <<END
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    pod-security.kubernetes.io/enforce: restricted
END
    "$helm" template matriarch "$work/chart" --namespace "$namespace" --kube-version "$kubernetes" \
        --no-hooks --skip-tests --set crds.keep=false |
        sed -e '/^ *helm.sh\/chart: /d' -e '/^ *app.kubernetes.io\/managed-by: Helm$/d' \
            -e '/^# Source: /d'
} > "$work/install.yaml"
"$python" tests/tools/crd_reference.py "$crd" > "$work/reference.md"

stale=0
place() {  # place NEW PATH
    if cmp -s "$1" "$2"; then
        return
    elif [ "$mode" = --check ]; then
        echo "$2 is not current: run make manifests" >&2
        stale=1
    else
        cp "$1" "$2"
        echo "wrote $2"
    fi
}
place "$crd" charts/matriarch/files/postgresclusters.matriarch.dev.yaml
place "$work/install.yaml" manifests/install.yaml
place "$work/reference.md" docs/reference.md
exit "$stale"
