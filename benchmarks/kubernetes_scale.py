#!/usr/bin/env python3
"""Many jobs through one leader, on a node of the test cluster that is not there.

    conformance/kubernetes/cluster.sh up
    conformance/kubernetes/cluster.sh exec benchmarks/kubernetes_scale.py --programs target/release

This script plays the kubelet of that node: for each pod it runs the pod's own command, `moil worker`, as a process of this
machine, and tells the API server what became of it. All else is real: API server, controllers, scheduler, leader, and the
job store, a directory. CPU and RSS are the leader's own; the first must grow with the number of jobs, the second little.
"""

import argparse
import datetime
import http.client
import json
import os
import pathlib
import queue
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

NODE, NAMESPACE, TAINT = "moil-scale", "moil-scale", "moil-scale"


class Api:
    """The API server, as the kubeconfig says. Each thread has a connection of its own."""

    def __init__(self):
        text = subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json"], check=True, stdout=subprocess.PIPE)
        config = json.loads(text.stdout)
        cluster = config["clusters"][0]["cluster"]
        self.server = urllib.parse.urlsplit(cluster["server"])
        self.context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "User-Agent": "node"}
        self.mine = threading.local()

    def open(self, method, path, body=None, form="application/json"):
        text = None if body is None else json.dumps(body)
        for wait in (0.1, 1, 5, None):
            connection = getattr(self.mine, "connection", None)
            if connection is None:
                connection = http.client.HTTPSConnection(self.server.hostname, self.server.port, context=self.context)
                self.mine.connection = connection
            try:
                connection.request(method, path, text, {**self.headers, "Content-Type": form})
                answer = connection.getresponse()
                if answer.status < 500 or wait is None:
                    return answer
                answer.read()
            except (http.client.HTTPException, OSError):
                self.mine.connection = None
                if wait is None:
                    raise
            time.sleep(wait)

    def call(self, method, path, body=None, form="application/json", may_fail=()):
        answer = self.open(method, path, body, form)
        text = answer.read()
        if answer.status >= 400 and answer.status not in may_fail:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if answer.status < 400 else None


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Node:
    """A node whose containers are processes of this machine."""

    def __init__(self, api, programs, folder, threads):
        self.api, self.programs, self.folder = api, programs, folder
        self.pods, self.seen = queue.SimpleQueue(), set()
        self.register()
        for target in [self.beat, self.watch] + threads * [self.work]:
            threading.Thread(target=target, daemon=True).start()

    def register(self):
        self.api.call("DELETE", f"/api/v1/nodes/{NODE}", may_fail=(404,))
        labels = {"type": NODE, "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
        self.api.call("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels},
            "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]}})
        much = {"cpu": "100000", "memory": "1000000Gi", "ephemeral-storage": "1000000Gi", "pods": "40"}
        self.api.call("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {
            "capacity": much, "allocatable": much,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                            "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
        }}, "application/strategic-merge-patch+json")

    def beat(self):
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NODE},
                     "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": now()}}
            if self.api.call("PATCH", f"{path}/{NODE}", lease, "application/merge-patch+json", (404,)) is None:
                self.api.call("POST", path, lease)
            time.sleep(10)

    def watch(self):
        # Each watch begins with all pods that there are.
        while True:
            answer = self.api.open("GET", f"/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{NODE}")
            for line in answer:
                event = json.loads(line)
                pod = event["object"]
                if event["type"] == "ERROR":
                    break
                name = pod["metadata"]["uid"], "deletionTimestamp" in pod["metadata"]
                if event["type"] == "DELETED":
                    self.seen -= {(name[0], True), (name[0], False)}
                elif name not in self.seen:
                    self.seen.add(name)
                    self.pods.put(pod)

    def work(self):
        while True:
            pod = self.pods.get()
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            if "deletionTimestamp" in pod["metadata"]:
                self.api.call("DELETE", f"{path}?gracePeriodSeconds=0", may_fail=(404,))
                continue
            began = now()
            self.tell(path, pod, "Running", {"running": {"startedAt": began}})
            code = self.run(pod["spec"]["containers"][0])
            ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": began, "finishedAt": now()}
            self.tell(path, pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def tell(self, path, pod, phase, state):
        container = pod["spec"]["containers"][0]
        status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": "running" in state,
                  "restartCount": 0, "state": state}
        # It may have been deleted meanwhile.
        self.api.call("PATCH", f"{path}/status", {"status": {"phase": phase, "containerStatuses": [status]}},
                      "application/strategic-merge-patch+json", (404,))

    def run(self, container):
        environment = {"PATH": os.environ["PATH"]}
        environment.update((variable["name"], variable.get("value", "")) for variable in container["env"])
        environment.update(HOME=str(self.folder), TOIL_WORKDIR=str(self.folder))
        program, *words = container["args"]
        done = subprocess.run([self.programs / program, *words], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder)
        if done.returncode:
            print(done.stderr.decode(errors="replace"), flush=True)
        return done.returncode


def workflow(times):
    tool = {"class": "CommandLineTool", "baseCommand": "echo", "stdout": "o",
            "inputs": {"word": {"type": "string", "inputBinding": {}}},
            "outputs": {"out": {"type": "string", "outputBinding": {
                "glob": "o", "loadContents": True, "outputEval": "$(self[0].contents)"}}}}
    step = {"run": tool, "scatter": "word", "in": {"word": "words"}, "out": ["out"]}
    return {"cwlVersion": "v1.2", "class": "Workflow", "requirements": {"ScatterFeatureRequirement": {}},
            "inputs": {"words": "string[]"}, "outputs": {"all": {"type": "string[]", "outputSource": "say/out"}},
            "steps": {"say": step}}, {"words": [str(number) for number in range(times)]}


def leader(programs, folder, times):
    """Seconds, CPU seconds and MiB of one run."""
    work = folder / f"run-{times}"
    work.mkdir()
    document, inputs = workflow(times)
    (work / "main.cwl").write_text(json.dumps(document))
    (work / "job.json").write_text(json.dumps(inputs))
    words = [programs / "toil-cwl-runner", "--batchSystem", "kubernetes", "--kubernetesNamespace", NAMESPACE,
             "--kubernetesPodPerJob", "--kubernetesNodeSelector", f"type={NODE}",
             "--kubernetesTolerations", f"{TAINT}:NoSchedule",
             "--kubernetesVolume", f"{work}:{work}", "--jobStore", work / "store", "--outdir", work / "out",
             work / "main.cwl", work / "job.json"]
    environment = {**os.environ, "TOIL_APPLIANCE_SELF": "none", "TOIL_KUBERNETES_OWNER": "scale"}
    began = time.monotonic()
    with open(work / "log", "w") as log, open(work / "answer", "w") as answer:
        child = subprocess.Popen(words, stdout=answer, stderr=log, cwd=work, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    if status != 0:
        raise SystemExit("".join((work / "log").read_text().splitlines(True)[-40:]))
    said = json.loads((work / "answer").read_text())["all"]
    assert said == [f"{number}\n" for number in range(times)], "each job has its own output, in its place"
    shutil.rmtree(work)
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder with moil and toil-cwl-runner")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--threads", type=int, default=4, help="how many containers run at a time")
    options = parser.parse_args()
    programs = options.programs.resolve()
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
    api = Api()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        Node(api, programs, folder, options.threads)
        print("| jobs | wall | jobs per second | leader: CPU | for each job | leader: RSS |\n|--:|--:|--:|--:|--:|--:|")
        for times in options.jobs:
            took, cpu, memory = leader(programs, folder, times)
            print(f"| {times} | {took:.0f} s | {times / took:.0f} | {cpu:.1f} s | {1000 * cpu / times:.2f} ms "
                  f"| {memory:.0f} MiB |", flush=True)
    api.call("DELETE", f"/api/v1/nodes/{NODE}")
    subprocess.run(["kubectl", "delete", "namespace", NAMESPACE, "--wait=false"], check=True)


if __name__ == "__main__":
    main()
