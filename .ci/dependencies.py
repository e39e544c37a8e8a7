"""What the crate brings along: licences that anybody may take, nothing that is banned, nothing twice.

    cargo metadata --format-version 1 --all-features | python3 .ci/dependencies.py
"""

import json
import sys

# Any one of these will do, and where several are to be kept to, all must be among them.
LICENCES = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
}
# Another TLS library, and what needs a system's own; an executor beside tokio.
BANNED = {"openssl", "openssl-sys", "native-tls", "async-std", "smol", "lazy_static"}
# Two versions of these are in the tree for want of releases of others.
TWICE = {
    "base64",
    "core-foundation",
    "cpufeatures",
    "getrandom",
    "syn",
    "windows-sys",
}


def may(expression):
    """Whether a licence expression leaves a way that is allowed."""
    words = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    words = words.replace(" WITH ", "_WITH_").split()
    known = {"AND": "and", "OR": "or", "(": "(", ")": ")"}
    read = [known.get(w, str(w.replace("_WITH_", " WITH ") in LICENCES)) for w in words]
    return bool(read) and eval(" ".join(read))


def main():
    told = json.load(sys.stdin)
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    packages = {package["id"]: package for package in told["packages"]}
    todo, found = [told["resolve"]["root"]], set()
    while todo:
        node = todo.pop()
        if node in found:
            continue
        found.add(node)
        for dep in nodes[node]["deps"]:
            # What comes with the crate on any platform that isn't a model checker's.
            kinds = [kind for kind in dep["dep_kinds"] if kind["kind"] is None]
            if any("tower_quota_" not in (kind["target"] or "") for kind in kinds):
                todo.append(dep["pkg"])
    brought = [packages[node] for node in found]
    wrong = [
        f"{p['name']} {p['version']}: licence {p['license']}"
        for p in brought
        if not may(p["license"] or "")
    ]
    wrong += [f"{p['name']} is banned" for p in brought if p["name"] in BANNED]
    names = [p["name"] for p in brought]
    twice = sorted({name for name in names if names.count(name) > 1} - TWICE)
    wrong += [f"{name} is there in two versions" for name in twice]
    print("\n".join(wrong) or f"{len(brought)} packages")
    return bool(wrong)


sys.exit(main())
