#!/usr/bin/env python3
"""Runs moil on the test cluster, and the floor of each figure: the same number of bare Jobs. One Markdown table.

    conformance/kubernetes/cluster.sh up
    conformance/kubernetes/cluster.sh exec benchmarks/kubernetes.py --programs target/release

Runs of moil and of the floor take turns; the figures are medians of the repeats. Each run of moil is made twice: with pods that
take one job after the other, and with a pod per job. Wall is seconds from start to end; "after the last tool" is the part of it after
the end of the last tool; CPU and RSS are the leader's own. API requests are what the leader asked of the API server (its audit log), watches
included; S3 requests are those of the leader and of all workers. The pods' CPU and memory are all that their groups used, the tools and the
start of containers among it, memory at its highest without files that are cached; the machine's CPU is all of it, with the cluster's programs. A second table is about a leader
whose ten pods sleep. With `--many N` nothing is run but N jobs in shared pods.
"""

import argparse
import asyncio
import json
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

NAMESPACE = "moil-bench"
AUDIT = pathlib.Path(os.environ.get("MOIL_TEST_KUBERNETES_AUDIT", "/nonexistent"))
# What a job asks for, here and there.
CPU, MEMORY, MOIL_MEMORY = 0.05, "96Mi", 32
# So much that a pod has one job at a time.
ALONE = 1500
PER_JOB = ["--kubernetesPodPerJob"]
# What a run's name is put into; `--bucket` changes it.
STORE = "aws:us-east-1:{}"


class Counted:
    """A server of S3, with what was asked of it."""

    def __init__(self, url):
        self.target, self.asked = urllib.parse.urlsplit(url), 0
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(started)), daemon=True).start()
        started.wait()

    async def serve(self, started):
        server = await asyncio.start_server(self.client, self.target.hostname, 0)
        self.url = f"http://{self.target.hostname}:{server.sockets[0].getsockname()[1]}"
        started.set()
        await server.serve_forever()

    async def client(self, reader, writer):
        to_server = await asyncio.open_connection(self.target.hostname, self.target.port)
        await asyncio.gather(self.relay(reader, to_server[1], True), self.relay(to_server[0], writer, False))

    async def relay(self, reader, writer, counts):
        end, before = b" HTTP/1.1\r\n", b""
        try:
            while data := await reader.read(1 << 16):
                if counts:
                    seen = before + data
                    self.asked += seen.count(end)
                    before = seen[-len(end) + 1:]
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


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
    # An echo that tells when it ended.
    "baseCommand": ["sh", "-c", "read up idle </proc/uptime; echo $up"],
    "inputs": {"word": {"type": "string", "inputBinding": {}}},
    "outputs": {"out": {"type": "string", "outputBinding": {
        "glob": "o", "loadContents": True, "outputEval": "$(self[0].contents)"}}},
    "stdout": "o",
}


def scatter(times, command=TOOL["baseCommand"], memory=MOIL_MEMORY):
    asked = {"ResourceRequirement": {**TOOL["requirements"]["ResourceRequirement"], "ramMin": memory}}
    step = {"run": {**TOOL, "baseCommand": command, "requirements": asked}, "scatter": "word", "in": {"word": "words"}, "out": ["out"]}
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


def requests(but="none"):
    """How many the API server has had of leaders so far, but for those with a verb."""
    try:
        return sum(1 for line in AUDIT.open() if '"userAgent":"moil' in line and f'"verb":"{but}"' not in line)
    except FileNotFoundError:
        return 0


def start(programs, folder, name, document, inputs, more):
    """A run, with its log."""
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    (work / "main.cwl").write_text(json.dumps(document))
    (work / "job.json").write_text(json.dumps(inputs))
    words = [str(programs / "toil-cwl-runner"), "--batchSystem", "kubernetes", "--kubernetesNamespace", NAMESPACE,
             "--jobStore", STORE.format(f"bench-{name}-{os.getpid()}-{work.name.lower().replace('_', 'x')}"),
             "--clean", "always", "--outdir", str(work / "out"), *more, str(work / "main.cwl"), str(work / "job.json")]
    with open(work / "log", "w") as log, open(work / "outputs", "w") as outputs:
        return subprocess.Popen(words, stdout=outputs, stderr=log, cwd=work), work


def moil(programs, folder, store, name, document, inputs, more):
    """What is in a row of the table, of one run."""
    asked, stored, used, pods, began = requests(), store.asked, machine(), pods_cpu(), time.monotonic()
    child, work = start(programs, folder, name, document, inputs, more)
    peak = Peak()
    _, status, usage = os.wait4(child.pid, 0)
    ended = time.clock_gettime(time.CLOCK_BOOTTIME)
    took = time.monotonic() - began
    if status != 0:
        raise SystemExit(f"{name} failed:\n{(work / 'log').read_text()}")
    outputs = json.loads((work / "outputs").read_text())
    times = outputs["all"] if "all" in outputs else [outputs["last"]]
    return {"wall": took, "end": ended - max(map(float, times)), "cpu": usage.ru_utime + usage.ru_stime,
            "rss": usage.ru_maxrss / 1024, "api": requests() - asked, "s3": store.asked - stored,
            "pods cpu": pods_cpu() - pods, "pods memory": peak.stop(), "machine": machine() - used}


def machine():
    """Seconds of CPU of all that ever ran."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, _steal = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def pods_group(controller):
    """The group that all pods of the cluster are in."""
    name = os.environ.get("MOIL_KUBERNETES_NAME")
    return pathlib.Path("/sys/fs/cgroup", controller, f"moil-kubernetes-{name}" if name else "moil-kubernetes", "kubepods")


def pods_cpu():
    """Seconds of CPU of all pods, also of those that are gone."""
    return int((pods_group("cpuacct") / "cpuacct.usage").read_text()) / 1e9


class Peak(threading.Thread):
    """The most memory of all pods together, in MiB, as seen every 10 ms."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.over, self.source = 0, threading.Event(), pods_group("memory") / "memory.stat"
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            found = dict(line.split() for line in self.source.read_text().splitlines())
            self.most = max(self.most, int(found["total_rss"]))

    def stop(self):
        self.over.set()
        self.join()
        return self.most / 2**20


def cpu(pid):
    """Seconds of CPU of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(programs, folder, store, seconds, more):
    """What a leader costs while its ten pods sleep: percent of a core, requests of the API server and of S3 per second."""
    document, inputs = scatter(10, ["sleep", "3600"], ALONE)
    child, work = start(programs, folder, "idle", document, inputs, more)
    running = 0
    while running < 10:
        if child.poll() is not None:
            raise SystemExit(f"idle failed:\n{(work / 'log').read_text()}")
        time.sleep(1)
        running = len(kubectl("get", "pods", "--field-selector=status.phase=Running", "-o", "name").split())
    # Until the last of them has begun.
    time.sleep(20)
    before, began = (cpu(child.pid), requests("watch"), store.asked), time.monotonic()
    time.sleep(seconds)
    after, took = (cpu(child.pid), requests("watch"), store.asked), time.monotonic() - began
    child.send_signal(signal.SIGINT)
    child.wait()
    return [(last - first) / took for first, last in zip(before, after)]


def main():
    global STORE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder with moil and toil-cwl-runner")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", help="echo-1, scatter-10, scatter-50, chain-5, idle")
    parser.add_argument("--many", type=int, help="so many jobs, and nothing else")
    parser.add_argument("--idle", type=int, default=60, help="how many seconds the ten pods sleep")
    parser.add_argument("--bucket", help="job stores in a bucket that is there, and not in one of their own (it is made first)")
    options = parser.parse_args()
    registry, server = os.environ["MOIL_TEST_KUBERNETES"], os.environ["MOIL_TEST_KUBERNETES_S3"]
    push = [str(options.programs / "moil"), "appliance", "push", f"{registry}/moil/bench:1", "--insecure"]
    image = subprocess.run(push, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    store = Counted(server)
    if options.bucket:
        STORE = f"s3://{options.bucket}/{{}}"
        urllib.request.urlopen(urllib.request.Request(f"{server}/{options.bucket}", method="PUT"))
    os.environ.update(keys, AWS_ENDPOINT_URL=store.url, TOIL_APPLIANCE_SELF=image, TOIL_AWS_SECRET_NAME="aws-credentials",
                      TOIL_KUBERNETES_OWNER="bench")
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
    credentials = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
    kubectl("apply", "-f", "-", document=json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-credentials"},
        "stringData": {"credentials": credentials}}))
    workloads = {"echo-1": (scatter(1), lambda: floor(1)), "scatter-10": (scatter(10), lambda: floor(10)),
                 "scatter-50": (scatter(50), lambda: floor(50)),
                 "chain-5": (chain(5), lambda: sum(floor(1) for _ in range(5)))}
    shown = (lambda asked, form: format(asked, form)) if AUDIT.exists() else (lambda asked, form: "-")
    print("| workload | pods | moil: wall s | bare Jobs: wall s | ratio | after the last tool: s | leader: CPU s | leader: RSS MiB "
          "| API requests | S3 requests | pods: CPU s | pods: MiB | machine: CPU s |")
    print("|---|---|" + "--:|" * 11)

    def row(name, kind, low, found):
        at = {key: statistics.median(run[key] for run in found) for key in found[0]}
        figures = [f"{low:.1f}", f"{at['wall'] / low:.2f}"] if low else ["", ""]
        print(f"| {name} | {kind} | " + " | ".join([
            f"{at['wall']:.1f}", *figures, f"{at['end']:.2f}", f"{at['cpu']:.2f}", f"{at['rss']:.0f}", shown(at["api"], ".0f"),
            f"{at['s3']:.0f}", f"{at['pods cpu']:.2f}", f"{at['pods memory']:.0f}", f"{at['machine']:.1f}"]) + " |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        moil(options.programs, folder, store, "warm", *scatter(1), [])
        if options.many:
            row(f"{options.many} jobs", "shared", None,
                [moil(options.programs, folder, store, "many", *scatter(options.many), [])])
            kubectl("delete", "namespace", NAMESPACE, "--wait=false")
            return
        floor(1)
        for name, ((document, inputs), lowest) in workloads.items():
            if options.only and name not in options.only:
                continue
            runs, floors = {"shared": [], "per job": []}, []
            for _ in range(options.repeats):
                for kind, found in runs.items():
                    more = PER_JOB if kind == "per job" else []
                    found.append(moil(options.programs, folder, store, name, document, inputs, more))
                floors.append(lowest())
            for kind, found in runs.items():
                row(name, kind, statistics.median(floors), found)
        if not options.only or "idle" in options.only:
            print("\n| ten pods sleep | pods | leader: CPU | API requests but watches | S3 requests |\n|---|---|---|---|---|")
            for kind, more in (("shared", []), ("per job", PER_JOB)):
                share, asked, stored = idle(options.programs, folder, store, options.idle, more)
                print(f"| for {options.idle} s | {kind} | {100 * share:.2f} % | {shown(asked, '.2f')}/s | {stored:.2f}/s |")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


if __name__ == "__main__":
    main()
