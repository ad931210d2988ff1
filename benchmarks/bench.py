#!/usr/bin/env python3
"""Runs moil, cwltool and plain xargs on the same generated workflows and prints one Markdown table.

    bench.py --moil target/release/toil-cwl-runner --cwltool cwltool

Every runner gets its own empty folder for each run. The figure shown is the
median of the repeats. Wall is seconds from start to end; CPU is user and system time of
the runner and everything it started; RSS is the largest resident size that
the runner's own process had at any sample, in MiB.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

# name -> (default size, what it measures)
BENCHMARKS = {
    "scatter": (1000, "a workflow that scatters a trivial tool over N values"),
    "chain": (100, "N steps, each waiting for the file of the one before"),
    "js": (1000, "a scatter of N elements with one JavaScript expression each"),
    "wide": (500, "N independent steps in one workflow"),
    "files-out": (10000, "one tool that makes N files"),
    "files-in": (10000, "one tool that takes an array of N files"),
    "start": (1, "one trivial tool: start-up to the end of the first job"),
    "validate": (30, "--validate of a workflow with N steps"),
    "scatter-large": (100000, "as scatter"),
    "container": (100, "as scatter, in containers of --image, through Apptainer"),
}
# What runs if nothing is asked for: the large scatter takes minutes, and hours in cwltool; containers need an image.
USUAL = [name for name in BENCHMARKS if name not in ("scatter-large", "container")]


def tool(arguments, inputs, outputs, **more):
    return {
        "class": "CommandLineTool",
        "requirements": {"ShellCommandRequirement": {}},
        "baseCommand": [],
        "arguments": [{"valueFrom": arguments, "shellQuote": False}],
        "inputs": inputs,
        "outputs": outputs,
        **more,
    }


WRITE = tool(
    "echo x > o.txt",
    {"value": "int"},
    {"out": {"type": "File", "outputBinding": {"glob": "o.txt"}}},
)
COPY = {
    "class": "CommandLineTool",
    "baseCommand": "cat",
    "inputs": {"file": {"type": "File", "inputBinding": {"position": 1}}},
    "outputs": {"out": "stdout"},
    "stdout": "o.txt",
}


def workflow(inputs, outputs, steps, *requirements):
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": {name: {} for name in requirements},
        "inputs": inputs,
        "outputs": outputs,
        "steps": steps,
    }


def scatter(size):
    step = {"run": WRITE, "scatter": "value", "in": {"value": "values"}, "out": ["out"]}
    document = workflow(
        {"values": "int[]"}, {"out": {"type": "File[]", "outputSource": "s/out"}}, {"s": step},
        "ScatterFeatureRequirement",
    )
    return document, {"values": list(range(size))}


def chain(size):
    steps = {"s0": {"run": WRITE, "in": {"value": {"default": 0}}, "out": ["out"]}}
    for i in range(1, size):
        steps[f"s{i}"] = {"run": COPY, "in": {"file": f"s{i - 1}/out"}, "out": ["out"]}
    return workflow({}, {"out": {"type": "File", "outputSource": f"s{size - 1}/out"}}, steps), {}


def container(size, image):
    document, job = scatter(size)
    document["hints"] = {"DockerRequirement": {"dockerPull": image}}
    return document, job


def js(size):
    square = {
        "class": "ExpressionTool",
        "requirements": {"InlineJavascriptRequirement": {}},
        "inputs": {"value": "int"},
        "outputs": {"out": "int"},
        "expression": "${ return {out: inputs.value * inputs.value}; }",
    }
    step = {"run": square, "scatter": "value", "in": {"value": "values"}, "out": ["out"]}
    document = workflow(
        {"values": "int[]"}, {"out": {"type": "int[]", "outputSource": "s/out"}}, {"s": step},
        "ScatterFeatureRequirement", "InlineJavascriptRequirement",
    )
    return document, {"values": list(range(size))}


def wide(size):
    steps = {f"s{i}": {"run": WRITE, "in": {"value": {"default": i}}, "out": ["out"]} for i in range(size)}
    outputs = {f"o{i}": {"type": "File", "outputSource": f"s{i}/out"} for i in range(size)}
    return workflow({}, outputs, steps), {}


def files_out(size):
    document = tool(
        f"seq -f %06.0f.txt {size} | xargs touch",
        {},
        {"out": {"type": "File[]", "outputBinding": {"glob": "*.txt"}}},
        cwlVersion="v1.2",
    )
    return document, {}


def files_in(size, folder):
    data = folder / "data"
    data.mkdir()
    for i in range(size):
        (data / f"{i}.txt").write_text("x\n")
    document = tool(
        "echo $(inputs.files.length) > o.txt",
        {"files": "File[]"},
        {"out": {"type": "File", "outputBinding": {"glob": "o.txt"}}},
        cwlVersion="v1.2",
    )
    return document, {"files": [{"class": "File", "location": f"data/{i}.txt"} for i in range(size)]}


def start(_size):
    return {"cwlVersion": "v1.2", **WRITE}, {"value": 1}


def validate(size):
    """Steps of the usual shape: some inputs, a tool with bindings and resources, expressions, subtypes."""
    steps = {}
    for i in range(size):
        process = tool(
            "cat $(inputs.reads.path) > $(inputs.name).txt",
            {
                "reads": {"type": "File", "format": "http://edamontology.org/format_1930", "doc": "Reads."},
                "name": {"type": "string", "default": f"sample{i}", "inputBinding": {"position": 1}},
                "threads": {"type": "int?", "inputBinding": {"prefix": "-t", "position": 2}},
                "mode": {"type": {"type": "enum", "symbols": ["fast", "slow"]}, "default": "fast"},
            },
            {"out": {
                "type": "File",
                "format": "http://edamontology.org/format_1930",
                "outputBinding": {"glob": "$(inputs.name).txt"},
            }},
            hints={
                "DockerRequirement": {"dockerPull": "docker.io/debian:stable-slim"},
                "ResourceRequirement": {"coresMin": 1, "ramMin": "$(256 + inputs.reads.size / 1024)"},
            },
        )
        process["requirements"]["InlineJavascriptRequirement"] = {}
        source = "reads" if i == 0 else f"step{i - 1}/out"
        steps[f"step{i}"] = {
            "run": process,
            "in": {"reads": source, "name": {"valueFrom": f"$('step{i}')"}, "threads": "threads"},
            "out": ["out"],
        }
    document = workflow(
        {"reads": {"type": "File", "format": "http://edamontology.org/format_1930"}, "threads": "int?"},
        {"out": {"type": "File", "outputSource": f"step{size - 1}/out"}},
        steps,
        "StepInputExpressionRequirement", "InlineJavascriptRequirement",
    )
    return document, None


MAKERS = {
    "scatter": scatter, "scatter-large": scatter, "chain": chain, "js": js, "wide": wide,
    "files-out": files_out, "start": start, "validate": validate,
}


def generate(name, size, folder, image=None):
    """Writes the documents of a benchmark and gives the words after the runner's options."""
    if name == "files-in":
        document, job = files_in(size, folder)
    elif name == "container":
        document, job = container(size, image)
    else:
        document, job = MAKERS[name](size)
    (folder / "main.cwl").write_text(json.dumps(document))
    words = [str(folder / "main.cwl")]
    if job is not None:
        (folder / "job.json").write_text(json.dumps(job))
        words.append(str(folder / "job.json"))
    return words


def peak_rss(pid, stop, found):
    """Samples the resident size of one process, not of those that it starts."""
    while not stop.wait(0.01):
        try:
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        found[0] = max(found[0], int(line.split()[1]) / 1024)
        except OSError:
            return


def measure(command, folder, timeout):
    """One run: (wall, CPU, RSS), or the reason why there is none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    stop, rss = threading.Event(), [0.0]
    with open(folder / "log", "wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        sampler = threading.Thread(target=peak_rss, args=(process.pid, stop, rss))
        sampler.start()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            code = None
        wall = time.perf_counter() - started
        stop.set()
        sampler.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code is None:
        return f"over {timeout:g} s"
    if code != 0:
        tail = (folder / "log").read_text(errors="replace").strip().splitlines()[-3:]
        print(f"{command[0]} ended with {code}:", *tail, sep="\n  ", file=sys.stderr)
        return f"exit code {code}"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, rss[0]


def containers(name):
    return "--singularity" if name == "container" else "--no-container"


def moil_command(options, name, folder, words):
    if name == "validate":
        return [options.moil, "--validate", *words[:1]]
    # Beside its outputs, as with cwltool: what a file system freed lately elsewhere is not to count for one of them.
    (folder / "tmp").mkdir(exist_ok=True)
    return [options.moil, containers(name), "--quiet", "--workDir", str(folder / "tmp"),
            "--outdir", str(folder / "out"), *words]


def cwltool_command(options, name, folder, words):
    if name == "validate":
        return [options.cwltool, "--quiet", "--validate", *words[:1]]
    prefixes = ["--tmpdir-prefix", f"{folder}/tmp/", "--tmp-outdir-prefix", f"{folder}/tmp/"]
    (folder / "tmp").mkdir(exist_ok=True)
    return [options.cwltool, "--parallel", containers(name), "--quiet", *prefixes,
            "--outdir", str(folder / "out"), *words]


def xargs_command(options, name, folder, _words):
    if name not in ("scatter", "scatter-large"):
        return None
    size = options.sizes[name]
    script = f"seq {size} | xargs -P 2 -I N sh -c 'mkdir dN && cd dN && echo x > o.txt'"
    return ["sh", "-c", script]


RUNNERS = {"moil": moil_command, "cwltool": cwltool_command, "xargs": xargs_command}


def run_all(options):
    results = {}
    base = pathlib.Path(tempfile.mkdtemp(prefix="moil-bench-", dir=options.dir))
    try:
        for name in options.only:
            documents = base / name
            documents.mkdir()
            words = generate(name, options.sizes[name], documents, options.image)
            for repeat in range(options.repeats):
                # The runners take turns, so that a slow minute of the machine hits all of them. Nothing is removed
                # before the end: filesystems are slow to reuse what was freed just now.
                for runner in options.runners:
                    runs = results.setdefault((name, runner), [])
                    if runs and isinstance(runs[-1], str):
                        continue
                    folder = base / f"{name}-{runner}-{repeat}"
                    folder.mkdir()
                    command = RUNNERS[runner](options, name, folder, words)
                    if command is not None:
                        print(f"{name} {runner} {repeat + 1}/{options.repeats}", file=sys.stderr)
                        runs.append(measure(command, folder, options.timeout))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return results


def medians(runs):
    """Medians of wall, CPU and RSS; the reason if a run failed; None if there was none."""
    if not runs:
        return None
    if isinstance(runs[-1], str):
        return runs[-1]
    return tuple(statistics.median(run[i] for run in runs) for i in range(3))


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def table(options, results):
    lines = [
        "| benchmark | runner | wall s | CPU s | RSS MiB | wall, times the first |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name in options.only:
        first = medians(results.get((name, options.runners[0])))
        for runner in options.runners:
            found = medians(results.get((name, runner)))
            if found is None:
                continue
            label = f"{name}-{options.sizes[name]}"
            if isinstance(found, str):
                lines.append(f"| {label} | {runner} | {found} | | | |")
                continue
            ratio = f"{found[0] / first[0]:.2f}" if isinstance(first, tuple) else ""
            lines.append(
                f"| {label} | {runner} | {seconds(found[0])} | {seconds(found[1])} | {found[2]:.0f} | {ratio} |"
            )
    return "\n".join(lines)


def parse():
    epilog = "benchmarks:\n" + "\n".join(f"  {n:14} {size:>6}  {what}" for n, (size, what) in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moil", help="path of the runner to be measured")
    parser.add_argument("--cwltool", help="path of cwltool")
    parser.add_argument("--no-xargs", action="store_true", help="leave plain xargs out")
    parser.add_argument("--image", help="the image of the benchmark container, fetched before; CWL_SINGULARITY_CACHE helps")
    parser.add_argument("--only", help="benchmarks, separated by commas (default: all but scatter-large)")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=N", help="another size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    parser.add_argument("--dir", help="where to work (default: the folder for temporary files)")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else USUAL
    options.sizes = {name: size for name, (size, _) in BENCHMARKS.items()}
    for setting in options.size:
        name, _, size = setting.partition("=")
        if name not in BENCHMARKS or not size.isdigit():
            parser.error(f"--size wants NAME=N with one of {', '.join(BENCHMARKS)}")
        options.sizes[name] = int(size)
    for name in options.only:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark is called {name}; there are {', '.join(BENCHMARKS)}")
    if "container" in options.only and not options.image:
        parser.error("the benchmark container wants --image")
    options.runners = [r for r in ("moil", "cwltool") if getattr(options, r)]
    for runner in options.runners:
        # Absolute: the runners are started in other folders.
        found = shutil.which(getattr(options, runner))
        if found is None:
            parser.error(f"cannot find {getattr(options, runner)}")
        setattr(options, runner, os.path.abspath(found))
    if not options.no_xargs:
        options.runners.append("xargs")
    if not options.runners:
        parser.error("nothing to measure: give --moil or --cwltool")
    return options


def main():
    options = parse()
    results = run_all(options)
    print(f"{os.cpu_count()} cores, median of {options.repeats}\n")
    print(table(options, results))
    return 1 if any(isinstance(medians(runs), str) for runs in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
