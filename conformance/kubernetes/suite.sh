#!/usr/bin/env bash
# A conformance suite on the cluster: tools in Apptainer in pods that take one job after the other and wait for the next
# test, or with TOIL_KUBERNETES_POD_PER_JOB=true in one of their own each. Needs the cluster's network:
#   cluster.sh exec suite.sh FOLDER SUITE [WORD…]
# FOLDER has the programs (moil, toil-cwl-runner, conformance); words are for the driver.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=${1:?which folder?} suite=${2:?which suite?}
shift 2
registry=${MOIL_TEST_KUBERNETES:?it is set in the network of the cluster} server=$MOIL_TEST_KUBERNETES_S3
space=moil-suite bucket=moil-suite-$$
# The node's own: its pods share images and the configuration of Apptainer there.
shared=$(mktemp -d)
# Pods that are about to end still write there.
end() {
    # What is left goes with the cluster, and says nothing of the tests.
    kubectl delete namespace "$space" --timeout=600s >/dev/null || true
    rm -rf "$shared" || true
}
trap end EXIT
chmod 1777 "$shared"

MOIL_REGISTRY=$registry "$here/../containers/images.sh"
MOIL_REGISTRY=$registry "$here/../containers/registry.sh" configure "$shared/suite"
chmod -R a+rwX "$shared/suite"
image=$("$programs/moil" appliance push "$registry/moil/suite:1" --insecure)
kubectl create namespace "$space" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl -n "$space" create secret generic aws-credentials --dry-run=client -o yaml \
    --from-literal=credentials=$'[default]\naws_access_key_id = test\naws_secret_access_key = test\n' |
    kubectl apply -f - >/dev/null
curl -sSf -X PUT "$server/$bucket" >/dev/null

export AWS_ENDPOINT_URL=$server AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test TOIL_AWS_SECRET_NAME=aws-credentials
export TOIL_APPLIANCE_SELF=$image TOIL_KUBERNETES_OWNER=suite
# How many run is up to the driver. One wants all cores of the node, and waits for that until others are through.
"$programs/conformance" run "$suite" --tool "$programs/toil-cwl-runner" --mode plain --timeout 1800 "$@" -- \
    --batchSystem kubernetes --kubernetesNamespace "$space" --kubernetesHostPath "$shared" \
    --kubernetesPodKeep 20 --jobStore "s3://$bucket/{scratch}" --defaultCores 0.1 --defaultMemory 100Mi --retryCount 0
