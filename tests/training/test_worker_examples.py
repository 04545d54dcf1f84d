"""The examples for launchers give each worker a cluster and arguments that the program takes."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from keras_frcnn.cli.parser import build_parser
from keras_frcnn.training.cluster import Cluster, cluster

FOLDER = Path(__file__).parents[2] / "examples" / "multi_worker"


def check(argv):
    args = build_parser().parse_args(argv)
    assert args.command == "train" and args.resume and args.detector == "faster_rcnn"
    assert args.images_per_batch == 4 and args.group_by_aspect is True


def test_compose(monkeypatch):
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert list(services) == ["worker0", "worker1"]
    for index, service in enumerate(services.values()):
        monkeypatch.setenv("TF_CONFIG", service["environment"]["TF_CONFIG"])
        assert cluster() == Cluster(("worker0:2222", "worker1:2222"), index)
        check(service["command"])
        assert service["restart"] == "on-failure"


@pytest.mark.parametrize("index", [0, 1])
def test_kubernetes(tmp_path, monkeypatch, index):
    service, job, policy = yaml.safe_load_all((FOLDER / "job.yaml").read_text())
    name, spec = job["metadata"]["name"], job["spec"]
    assert spec["completions"] == spec["parallelism"] == 2
    assert service["metadata"]["name"] == spec["template"]["spec"]["subdomain"]
    for selector in (service["spec"]["selector"], policy["spec"]["podSelector"]["matchLabels"]):
        assert selector == {"job-name": name}
    (container,) = spec["template"]["spec"]["containers"]
    said = tmp_path / "said"
    program = tmp_path / "keras-frcnn"
    program.write_text(f'#!/bin/sh\necho "$TF_CONFIG" > {said}\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": path, "JOB_COMPLETION_INDEX": str(index)},
        check=True,
        capture_output=True,
        text=True,
    )
    check(done.stdout.splitlines())
    monkeypatch.setenv("TF_CONFIG", said.read_text())
    # Pods of an Indexed Job are called by its name and their index, in the service's domain.
    hosts = tuple(f"{name}-{i}.{service['metadata']['name']}:2222" for i in range(2))
    assert cluster() == Cluster(hosts, index)


def test_slurm(tmp_path):
    text = (FOLDER / "train.slurm").read_text()
    assert text.startswith("#!/bin/bash\n#SBATCH")
    program = tmp_path / "python"
    for name, script in {
        "scontrol": 'printf "node-a\\nnode-b\\n"',
        "srun": 'shift; for i in 0 1; do SLURM_PROCID=$i "$@"; done',
        "keras-frcnn": f'echo "$TF_CONFIG" >> {tmp_path}/said; echo "$@"',
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
    done = subprocess.run(
        ["bash", FOLDER / "train.slurm"],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_NODELIST": "x"},
        check=True,
        capture_output=True,
        text=True,
    )
    for line in done.stdout.splitlines():
        check(shlex.split(line))
    configs = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [c["task"] for c in configs] == [{"type": "worker", "index": i} for i in (0, 1)]
    assert all(c["cluster"] == {"worker": ["node-a:2222", "node-b:2222"]} for c in configs)
