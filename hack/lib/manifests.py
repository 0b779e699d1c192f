#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders and validates daemonset/, without a cluster and without a network.

manifests.py check ROOT VALIDATOR   everything below; VALIDATOR is the kubernetes-validate program
manifests.py render DIRECTORY       what `kubectl kustomize DIRECTORY` would print
manifests.py configs ROOT OUT       the agents' configurations, a file each, for `larder agent --check`

Debian 12 has no kustomize of this decade, so the few fields that daemonset/ uses are rendered here. Where a kubectl
with kustomize 5 is installed its output is compared with ours, so that the two cannot drift apart.
"""
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import yaml

VERSIONS = ["1.30", "1.33", "1.37"]
ROOTS = ["base", "overlays/cloud", "overlays/basement"]
KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator", "images"}


class Problem(Exception):
    pass


def load(path):
    with open(path, encoding="utf-8") as text:
        return [document for document in yaml.safe_load_all(text) if document]


def accumulate(directory):
    """The resources of one kustomization, before names get their hashes."""
    (kustomization,) = load(os.path.join(directory, "kustomization.yaml"))
    unknown = set(kustomization) - KNOWN
    if unknown:
        raise Problem(f"{directory}: hack/lib/manifests.py does not render {', '.join(sorted(unknown))}")
    found = []
    for name in kustomization.get("resources", []):
        path = os.path.normpath(os.path.join(directory, name))
        found += accumulate(path) if os.path.isdir(path) else load(path)
    for generator in kustomization.get("configMapGenerator", []):
        data = {}
        for name in generator["files"]:
            with open(os.path.join(directory, name), encoding="utf-8") as text:
                data[name] = text.read()
        metadata = {"name": generator["name"], "namespace": generator["namespace"]}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        same = [r for r in found if r["kind"] == "ConfigMap" and r["metadata"] == metadata]
        if bool(same) != (generator.get("behavior", "create") == "replace"):
            raise Problem(f"{directory}: ConfigMap {generator['name']} is replaced where there is none, or made twice")
        found = [r for r in found if r not in same] + [made]
    for image in kustomization.get("images", []):
        for resource in found:
            for container in containers(resource):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return found


def containers(resource):
    return resource.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def suffix(config_map):
    """kustomize 5's hash of a ConfigMap: SHA-256 of its JSON as Go writes it (its name is empty there), ten letters
    that spell nothing."""
    content = {"data": config_map["data"], "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))


def render(directory):
    found = accumulate(directory)
    renamed = {}
    for resource in found:
        if resource["kind"] == "ConfigMap":
            old = resource["metadata"]["name"]
            renamed[old] = f"{old}-{suffix(resource)}"
            resource["metadata"]["name"] = renamed[old]
    for resource in found:
        for volume in resource.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
            if "configMap" in volume:
                volume["configMap"]["name"] = renamed.get(volume["configMap"]["name"], volume["configMap"]["name"])
    return found


def ordered(resources):
    return sorted(resources, key=lambda r: (r["kind"], r["metadata"]["name"]))


def reference(directory):
    """The same by kubectl, or None where there is none with a kustomize of our time."""
    if not shutil.which("kubectl"):
        return None
    version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False).stdout
    if not re.search(r"Kustomize Version: v5", version):
        return None
    result = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=False)
    if result.returncode or "deprecated" in result.stderr:
        raise Problem(f"kubectl kustomize {directory}: {result.stderr.strip()}")
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def promises(where, resources):
    """What the API server would accept and the design forbids."""
    maps = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    holders = [c["args"] for r in resources for c in containers(r) if c["args"][0] == "hold"]
    if len(holders) != 1:
        raise Problem(f"{where}: {len(holders)} holders, and the mounts need one")
    socket = holders[0][holders[0].index("--socket") + 1]
    for resource in (r for r in resources if r["kind"] == "DaemonSet"):
        name, pod = f"{where}: DaemonSet {resource['metadata']['name']}", resource["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {v["name"]: v for v in pod["volumes"]}
        mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
        if not container["securityContext"].get("privileged"):
            raise Problem(f"{name} is not privileged, and Bidirectional needs it")
        if mounts["/run/larder"].get("mountPropagation") != "Bidirectional":
            raise Problem(f"{name}: mounts below /run/larder would not reach the jobs")
        holds = container["args"][0] == "hold"
        for path in ("/run/larder", "/dev/fuse") if holds else ("/run/larder", "/var/lib/larder", "/dev/fuse"):
            if volumes[mounts[path]["name"]]["hostPath"]["path"] != path:
                raise Problem(f"{name}: {path} is not the host's")
        if {"operator": "Exists"} not in pod["tolerations"]:
            raise Problem(f"{name} does not tolerate every taint")
        if holds:
            continue
        data = maps.get(volumes[mounts["/etc/larder"]["name"]]["configMap"]["name"], {})
        asked = os.path.basename(container["args"][-1])
        if asked not in data:
            raise Problem(f"{name} reads {asked}, which its ConfigMap lacks")
        if yaml.safe_load(data[asked]).get("hold") != socket:
            raise Problem(f"{name}: {asked} does not say 'hold: {socket}', where the holder listens")
        for volume in yaml.safe_load(data[asked])["volumes"]:
            if not volume["path"].startswith("/run/larder/"):
                raise Problem(f"{name}: volume {volume['name']} lies outside of /run/larder")


def certificates(path):
    """cert-manager's kinds, which the validator does not know: the fields that the example sets, and Larder's URIs."""
    specs = {"Issuer": {"ca"}, "Certificate": {"secretName", "issuerRef", "commonName", "uris", "usages", "privateKey",
                                               "duration", "renewBefore"}}
    resources = load(path)
    for resource in resources:
        unknown = set(resource["spec"]) - specs[resource["kind"]]
        if resource["apiVersion"] != "cert-manager.io/v1" or unknown:
            raise Problem(f"{path}: {resource['kind']} has no {', '.join(sorted(unknown)) or 'known apiVersion'}")
    issuers = {r["metadata"]["name"] for r in resources if r["kind"] == "Issuer"}
    for spec in (r["spec"] for r in resources if r["kind"] == "Certificate"):
        if spec["issuerRef"]["name"] not in issuers:
            raise Problem(f"{path}: issuer {spec['issuerRef']['name']} is not there")
        if not {"server auth", "client auth"} <= set(spec["usages"]):
            raise Problem(f"{path}: an agent calls and is called")
        agents = [u for u in spec["uris"] if re.fullmatch(r"larder://[\w.-]+/([\w.-]+|\*)", u)]
        rights = [u for u in spec["uris"] if re.fullmatch(r"larder-namespace:([\w.-]+|\*)\?rights=(rw|ro)", u)]
        if len(agents) != 1 or not rights or len(agents) + len(rights) != len(spec["uris"]):
            raise Problem(f"{path}: the URIs say no site, no agent or no rights")


def examples(directory):
    certificates(os.path.join(directory, "certificate.yaml"))
    with open(os.path.join(directory, "config.toml"), "rb") as text:
        runner = tomllib.load(text)
    for host_path in (p for r in runner["runners"] for p in r["kubernetes"]["volumes"]["host_path"]):
        if host_path["mount_propagation"] != "HostToContainer" or host_path["host_path"].endswith("/mnt"):
            raise Problem("config.toml: jobs mount the parent of the mount, HostToContainer, or lose it with the agent")
    jobs = load(os.path.join(directory, ".gitlab-ci.yml"))[0]
    for name, job in jobs.items():
        if isinstance(job, dict) and "stage" in job and not job.get("script"):
            raise Problem(f".gitlab-ci.yml: job {name} has no script")


def check(root, validator):
    base = os.path.join(root, "daemonset")
    compared = 0
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for name in ROOTS:
            directory = os.path.join(base, name)
            ours, theirs = ordered(render(directory)), reference(directory)
            if theirs is not None:
                compared += 1
                if ours != ordered(theirs):
                    raise Problem(f"{name}: kubectl kustomize renders something else than hack/lib/manifests.py")
            promises(name, ours)
            files.append(os.path.join(scratch, name.replace("/", "-") + ".yaml"))
            with open(files[-1], "w", encoding="utf-8") as out:
                yaml.safe_dump_all(ours, out, sort_keys=False)
        for version in VERSIONS:
            result = subprocess.run(
                [validator, "-k", version, "--strict", *files], capture_output=True, text=True, check=False
            )
            said = result.stdout + result.stderr
            # An unknown kind is only a warning there, and exit code 0.
            if result.returncode or re.search(r"\b(WARN|ERROR)", said):
                raise Problem(f"Kubernetes {version}:\n{said}")
    examples(os.path.join(base, "examples"))
    print(f"{len(ROOTS)} kustomizations valid for Kubernetes {', '.join(VERSIONS)}; {compared} compared with kubectl's")


def configs(root, out):
    for name in ROOTS:
        for resource in render(os.path.join(root, "daemonset", name)):
            if resource["kind"] == "ConfigMap":
                for file, text in resource["data"].items():
                    with open(os.path.join(out, f"{name.replace('/', '-')}-{file}"), "w", encoding="utf-8") as config:
                        config.write(text)
    for path in glob.glob(os.path.join(root, "daemonset", "examples", "agent*.yaml")):
        shutil.copy(path, out)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "render":
            yaml.safe_dump_all(render(sys.argv[2]), sys.stdout, sort_keys=False)
        else:
            {"check": check, "configs": configs}[sys.argv[1]](*sys.argv[2:])
    except Problem as problem:
        sys.exit(str(problem))
