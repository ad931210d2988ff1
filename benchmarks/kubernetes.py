#!/usr/bin/env python3
"""Runs moil on the test cluster, and the floor of each figure: the same number of bare Jobs. One Markdown table.

    conformance/kubernetes/cluster.sh up
    conformance/kubernetes/cluster.sh exec benchmarks/kubernetes.py --programs target/release

Runs of moil and of the floor take turns; the figures are medians of the repeats. Wall is seconds from start to end; CPU
and RSS are the leader's own; requests are what the leader asked of the API server (its audit log), watches included.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

NAMESPACE = "moil-bench"
AUDIT = pathlib.Path(os.environ.get("MOIL_TEST_KUBERNETES_AUDIT", "/nonexistent"))
# What a job asks for, here and there.
CPU, MEMORY, MOIL_MEMORY = 0.05, "96Mi", 32


def kubectl(*words, document=None):
    words = ["kubectl", "-n", NAMESPACE, *words]
    return subprocess.run(words, input=document, text=True, check=True, stdout=subprocess.PIPE).stdout


def bare_job(name):
    resources = {"requests": {"cpu": str(CPU), "memory": MEMORY}, "limits": {"memory": MEMORY}}
    container = {"name": "main", "image": "library/busybox:latest", "imagePullPolicy": "IfNotPresent",
                 "command": ["echo", "x"], "resources": resources}
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"bench": "floor"}},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}}}


def floor(times):
    """Seconds for so many Jobs at once."""
    jobs = {"apiVersion": "v1", "kind": "List", "items": [bare_job(f"floor-{number}") for number in range(times)]}
    document = json.dumps(jobs)
    began = time.monotonic()
    kubectl("create", "-f", "-", document=document)
    kubectl("wait", "job", "-l", "bench=floor", "--for=condition=complete", "--timeout=600s")
    took = time.monotonic() - began
    kubectl("delete", "job", "-l", "bench=floor", "--wait=true")
    return took


TOOL = {
    "class": "CommandLineTool",
    "requirements": {"ResourceRequirement": {"coresMin": CPU, "ramMin": MOIL_MEMORY, "tmpdirMin": 1, "outdirMin": 1}},
    "baseCommand": "echo",
    "inputs": {"word": {"type": "string", "inputBinding": {}}},
    "outputs": {"out": {"type": "string", "outputBinding": {
        "glob": "o", "loadContents": True, "outputEval": "$(self[0].contents)"}}},
    "stdout": "o",
}


def scatter(times):
    step = {"run": TOOL, "scatter": "word", "in": {"word": "words"}, "out": ["out"]}
    return {"cwlVersion": "v1.2", "class": "Workflow", "requirements": {"ScatterFeatureRequirement": {}},
            "inputs": {"words": "string[]"}, "outputs": {"all": {"type": "string[]", "outputSource": "say/out"}},
            "steps": {"say": step}}, {"words": [str(number) for number in range(times)]}


def chain(times):
    steps, source = {}, "words"
    for number in range(times):
        steps[f"step{number}"] = {"run": TOOL, "in": {"word": source}, "out": ["out"]}
        source = f"step{number}/out"
    return {"cwlVersion": "v1.2", "class": "Workflow", "inputs": {"words": "string"},
            "outputs": {"last": {"type": "string", "outputSource": source}}, "steps": steps}, {"words": "x"}


def requests():
    """How many the API server has had of leaders so far."""
    try:
        return sum(1 for line in AUDIT.open() if '"userAgent":"moil' in line)
    except FileNotFoundError:
        return 0


def moil(programs, folder, name, document, inputs):
    """Seconds, CPU seconds, MiB and requests of one run."""
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    (work / "main.cwl").write_text(json.dumps(document))
    (work / "job.json").write_text(json.dumps(inputs))
    words = [str(programs / "toil-cwl-runner"), "--batchSystem", "kubernetes", "--kubernetesNamespace", NAMESPACE,
             "--jobStore", f"aws:us-east-1:bench-{name}-{os.getpid()}-{work.name.lower().replace('_', '-')}",
             "--outdir", str(work / "out"), str(work / "main.cwl"), str(work / "job.json")]
    asked, began = requests(), time.monotonic()
    with open(work / "log", "w") as log:
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log, cwd=work)
        _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    if status != 0:
        raise SystemExit(f"{name} failed:\n{(work / 'log').read_text()}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, requests() - asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder with moil and toil-cwl-runner")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", help="echo-1, scatter-10, scatter-50, chain-5")
    options = parser.parse_args()
    registry, server = os.environ["MOIL_TEST_KUBERNETES"], os.environ["MOIL_TEST_KUBERNETES_S3"]
    push = [str(options.programs / "moil"), "appliance", "push", f"{registry}/moil/bench:1", "--insecure"]
    image = subprocess.run(push, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    os.environ.update(keys, AWS_ENDPOINT_URL=server, TOIL_APPLIANCE_SELF=image, TOIL_AWS_SECRET_NAME="aws-credentials",
                      TOIL_KUBERNETES_OWNER="bench")
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
    credentials = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
    kubectl("apply", "-f", "-", document=json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-credentials"},
        "stringData": {"credentials": credentials}}))
    workloads = {"echo-1": (scatter(1), lambda: floor(1)), "scatter-10": (scatter(10), lambda: floor(10)),
                 "scatter-50": (scatter(50), lambda: floor(50)),
                 "chain-5": (chain(5), lambda: sum(floor(1) for _ in range(5)))}
    print("| workload | moil: wall | floor: wall | ratio | leader: CPU | leader: RSS | API requests |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        moil(options.programs, folder, "warm", *scatter(1))
        floor(1)
        for name, ((document, inputs), lowest) in workloads.items():
            if options.only and name not in options.only:
                continue
            runs, floors = [], []
            for _ in range(options.repeats):
                runs.append(moil(options.programs, folder, name, document, inputs))
                floors.append(lowest())
            wall, cpu, memory, asked = (statistics.median(column) for column in zip(*runs))
            low = statistics.median(floors)
            shown = f"{asked:.0f}" if AUDIT.exists() else "-"
            print(f"| {name} | {wall:.1f} s | {low:.1f} s | {wall / low:.2f} | {cpu:.2f} s | {memory:.0f} MiB | {shown} |",
                  flush=True)
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


if __name__ == "__main__":
    main()
