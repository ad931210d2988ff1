#!/usr/bin/env python3
"""What a job in a container costs beside the container: moil against bare `apptainer exec` of a sandbox directory.

    container_overhead.py --moil target/release/toil-cwl-runner --image debian:stable-slim

The image must be one that Apptainer can have, or that is in $CWL_SINGULARITY_CACHE; moil unpacks it, and that directory is
what the bare command runs in, too. A job's time is taken from two workflows of different length that run their
jobs one after the other: so what a run costs once is not in it. All are run in turn, and the medians are printed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

# Where the engine is needed: an absolute entry name is a mount that only it makes.
ENGINE = {"InitialWorkDirRequirement": {"listing": [{"entryname": "/etc/moil.conf", "entry": "x"}]}}


def document(image, jobs, requirements):
    tool = {
        "class": "CommandLineTool",
        "requirements": {"DockerRequirement": {"dockerPull": image}, **requirements},
        "baseCommand": "true",
        "inputs": {"value": "int"},
        "outputs": {},
    }
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": {"ScatterFeatureRequirement": {}},
        "inputs": {"values": {"type": "int[]", "default": list(range(jobs))}},
        "outputs": {},
        "steps": {"s": {"run": tool, "scatter": "value", "in": {"value": "values"}, "out": []}},
    }


def seconds(command, **more):
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    elapsed = time.monotonic() - begin
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.decode()}")
    return elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moil", type=pathlib.Path, required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=50, help="by how many jobs the workflows differ")
    words = parser.parse_args()
    moil = words.moil.resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="overhead."))
    cache = folder / "images"
    if "CWL_SINGULARITY_CACHE" in os.environ:
        # The image as it is, and a folder of its own for what is unpacked.
        cache.mkdir()
        for sif in pathlib.Path(os.environ["CWL_SINGULARITY_CACHE"]).glob("*.sif"):
            (cache / sif.name).symlink_to(sif)
    environment = {**os.environ, "CWL_SINGULARITY_CACHE": str(cache)}
    few = 10

    def moil_run(jobs, requirements):
        path = folder / "workflow.json"
        path.write_text(json.dumps(document(words.image, jobs, requirements)))
        command = [moil, "--singularity", "--quiet", "--maxCores", "1", "--outdir", folder / "out", path]
        return seconds(command, env=environment)

    moil_run(few, {})
    [sandbox] = (cache / ".moil" / "sandboxes").iterdir()
    bare = ["apptainer", "exec", "--userns", sandbox, "true"]
    times = {"bare": [], "engine": [], "direct": []}
    for _ in range(words.repeats):
        times["bare"] += [seconds(bare, env=environment) for _ in range(words.jobs // words.repeats + 1)]
        for name, requirements in (("engine", ENGINE), ("direct", {})):
            base = moil_run(few, requirements)
            times[name].append((moil_run(few + words.jobs, requirements) - base) / words.jobs)
    median = {name: statistics.median(values) * 1000 for name, values in times.items()}
    print("| a job that runs `true` in an unpacked image | ms | more than bare, ms |")
    print("|---|--:|--:|")
    for name, label in (
        ("bare", "bare `apptainer exec`"),
        ("engine", "moil, through Apptainer"),
        ("direct", "moil, without it"),
    ):
        print(f"| {label} | {median[name]:.1f} | {median[name] - median['bare']:+.1f} |")


if __name__ == "__main__":
    main()
