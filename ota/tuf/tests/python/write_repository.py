"""Writes a repository with python-tuf, the reference implementation, as two operators over time would: keys of three
kinds, thresholds, a rotation of every top-level role, delegations by pattern and by hash, odd names.

write_repository.py FOLDER: FOLDER/metadata and FOLDER/targets; prints where each target must be found.
"""

import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

folder = Path(sys.argv[1])
(folder / "metadata").mkdir(parents=True)
now = datetime.now(timezone.utc).replace(microsecond=0)
later = now + timedelta(days=30)
expected = {}


def file_name(role, version):
    name = quote(role, "")
    return f"{name}.json" if role == "timestamp" else f"{version}.{name}.json"


def publish(role, signed, signers):
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    data = metadata.to_bytes()
    (folder / "metadata" / file_name(role, signed.version)).write_bytes(data)
    return MetaFile(signed.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def add(targets, role, path, content, custom=None):
    targets.targets[path] = TargetFile.from_data(path, content, ["sha256", "sha512"])
    if custom is not None:
        targets.targets[path].unrecognized_fields["custom"] = custom
    expected[path] = {"role": role, "sha256": hashlib.sha256(content).hexdigest(), "length": len(content)}
    parts = path.split("/")
    parts[-1] = f"{expected[path]['sha256']}.{parts[-1]}"
    place = folder / "targets" / "/".join(parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


three = [CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa(), CryptoSigner.generate_rsa(size=2048)]
signers = {role: [CryptoSigner.generate_ed25519()] for role in ("timestamp", "snapshot", "targets")}
signers["root"] = three

root = Root(expires=later, consistent_snapshot=True)
for role, keys in signers.items():
    for signer in keys:
        root.add_key(signer.public_key, role)
root.roles["root"].threshold = 3
publish("root", root, signers["root"])

# Every top-level role gets new keys; the new root is signed by old and new holders.
old = signers["root"]
signers = {role: [CryptoSigner.generate_ecdsa()] for role in ("timestamp", "snapshot", "targets")}
signers["root"] = [CryptoSigner.generate_ed25519() for _ in range(2)]
for role, keys in signers.items():
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    for signer in keys:
        root.add_key(signer.public_key, role)
root.roles["root"].threshold = 2
root.unrecognized_fields["a key that no standard knows"] = {"\u00e9": ["\u0001", "\\", '"']}
root.version = 2
publish("root", root, old + signers["root"])

targets = Targets(expires=later)
targets.delegations = Delegations({}, roles={})
add(targets, "targets", "top.txt", b"top")
add(targets, "targets", "a", b"a")
add(targets, "targets", "a b", b"a b")
add(targets, "targets", "a!", b"a!")
add(targets, "targets", "e\u0301/\u212a", b"not normalised")


def delegate(delegator, name, keys, threshold, **which):
    role = DelegatedRole(name, [], threshold, which.pop("terminating", False), **which)
    if delegator.delegations is None:
        delegator.delegations = Delegations({}, roles={})
    delegator.delegations.roles[name] = role
    for signer in keys:
        delegator.add_key(signer.public_key, name)
    return Targets(expires=later)


holders = [CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa(), CryptoSigner.generate_rsa(size=2048)]
models = delegate(targets, "models", holders, 2, paths=["models/*/*"])
add(models, "models", "models/stop-sign/1.0.0.slb", b"model", {"release_seq": 7, "hardware": ["rk3588", "x86"]})
odd = [CryptoSigner.generate_ed25519()]
inner = delegate(models, "../odd name?", odd, 1, paths=["models/odd/*.slb"], terminating=True)
add(inner, "../odd name?", "models/odd/x.slb", b"odd")
binned = hashlib.sha256(b"binned/file").hexdigest()
bins = delegate(targets, "bin", odd, 1, path_hash_prefixes=[binned[:2], "zz"])
add(bins, "bin", "binned/file", b"binned")
models.version = 5

snapshot = Snapshot(expires=later)
snapshot.meta = {
    "targets.json": publish("targets", targets, signers["targets"]),
    "models.json": publish("models", models, holders[1:]),
    "../odd name?.json": publish("../odd name?", inner, odd),
    "bin.json": publish("bin", bins, odd),
}
timestamp = Timestamp(expires=later)
timestamp.snapshot_meta = publish("snapshot", snapshot, signers["snapshot"])
publish("timestamp", timestamp, signers["timestamp"])
print(json.dumps(expected))
