# SPDX-License-Identifier: Apache-2.0
"""schema.py - the JSON Schemas agree with the loader: keys, words, good files and bad ones.

The schemas say less than the loader (a duration's range, a point that another line names are
beyond them), never more: what the loader takes they take, and a key that one knows both do.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import yaml

SOURCE = Path(os.environ.get("POSTBUS_SOURCE", Path(__file__).parent.parent))
POSTBUS = os.environ.get("POSTBUS", SOURCE / "build/postbus")


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read it: `off`, `1e3`, `4..6` and `20:30`."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
     list("-+.0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
# YAML 1.1 would take a leading zero for octal, and this float for text.
Loader.add_constructor("tag:yaml.org,2002:int",
                       lambda loader, node: int(node.value, 16 if "x" in node.value else 10))
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def with_text_keys(tree):
    """Keys are text in JSON."""
    if isinstance(tree, dict):
        return {str(key): with_text_keys(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [with_text_keys(value) for value in tree]
    return tree


def schema_of(name):
    schema = json.loads((SOURCE / f"schema/postbus-{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return schema


MAP, BUS = schema_of("device-map"), schema_of("bus")
VALIDATORS = {"map": jsonschema.Draft7Validator(MAP), "bus": jsonschema.Draft7Validator(BUS)}


def schema_faults(kind, text):
    tree = with_text_keys(yaml.load(text, Loader))
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in VALIDATORS[kind].iter_errors(tree)]


def loader_faults(files):
    """What `postbus check` says of files, {(kind, name): text}."""
    faults, names = {}, list(files)
    # It keeps a thousand faults.
    for at in range(0, len(names), 20):
        with tempfile.TemporaryDirectory() as directory:
            faults |= faults_of_some(Path(directory), {n: files[n] for n in names[at:at + 20]})
    return faults


def faults_of_some(directory, files):
    (directory / "buses").mkdir()
    maps = []
    for (kind, name), text in files.items():
        place = directory / "buses" if kind == "bus" else directory
        (place / f"{name}.yaml").write_text(text)
        if kind == "map":
            maps.append(f"{name}.yaml")
    said = ""
    if maps:
        said += subprocess.run([POSTBUS, "check", *maps], cwd=directory, text=True,
                               capture_output=True).stderr
    if len(maps) < len(files):
        (directory / "postbus.conf").write_text(
            f'gateway = "g"; buses = "buses"; maps = ["{SOURCE}/devices"];')
        said += subprocess.run([POSTBUS, "check", "-c", "postbus.conf"], cwd=directory,
                               text=True, capture_output=True).stderr
    faults = {key: [] for key in files}
    for line in said.splitlines():
        path = Path(line.split(":", 1)[0])
        faults.get(("bus" if path.parent.name == "buses" else "map", path.stem),
                   []).append(line)
    return faults


# --- files that are right, and files that are not ---

BAD_MAPS = {
    "key": "driver: modbus\npoint: {}\npoints: {a: {addr: 1}}",
    "no-driver": "points: {a: {addr: 1}}",
    "driver": "driver: mudbus\npoints: {a: {addr: 1}}",
    "no-points": "driver: modbus",
    "empty-points": "driver: modbus\npoints: {}",
    "list-of-points": "driver: modbus\npoints: [a]",
    "no-addr": "driver: modbus\npoints: {a: {type: u16}}",
    "addr": "driver: modbus\npoints: {a: {addr: 70000}}",
    "text-addr": "driver: modbus\npoints: {a: {addr: '1'}}",
    "point-key": "driver: modbus\npoints: {a: {addr: 1, skale: 2}}",
    "point-name": "driver: modbus\npoints: {a/b: {addr: 1}}",
    "taken-name": "driver: modbus\npoints: {time: {addr: 1}}",
    "type": "driver: modbus\npoints: {a: {addr: 1, type: u17}}",
    "long-string": "driver: modbus\npoints: {a: {addr: 1, type: 'string[65]'}}",
    "order": "driver: modbus\npoints: {a: {addr: 1, type: u32, order: ABC}}",
    "table": "driver: modbus\npoints: {a: {addr: 1, table: inputs}}",
    "scale": "driver: modbus\npoints: {a: {addr: 1, scale: '0.1'}}",
    "class": "driver: modbus\npoints: {a: {addr: 1, class: heat}}",
    "total": "driver: modbus\npoints: {a: {addr: 1, total: yes}}",
    "every": "driver: modbus\npoints: {a: {addr: 1, every: 5}}",
    "deadband": "driver: modbus\npoints: {a: {addr: 1, deadband: -1}}",
    "bits": "driver: modbus\npoints: {a: {addr: 1, bits: 4-6}}",
    "values": "driver: modbus\npoints: {a: {addr: 1, values: {on: 1}}}",
    "no-values": "driver: modbus\npoints: {a: {addr: 1, values: {}}}",
    "nan": "driver: modbus\npoints: {a: {addr: 1, nan: none}}",
    "write": "driver: modbus\npoints: {a: {addr: 1, write: true}}",
    "write-key": "driver: modbus\npoints: {a: {addr: 1, write: {most: 1}}}",
    "step": "driver: modbus\npoints: {a: {addr: 1, write: {step: 0}}}",
    "verify": "driver: modbus\npoints: {a: {addr: 1, write: {verify: 1}}}",
    "on-crash": "driver: modbus\npoints: {a: {addr: 1, write: {on_crash: forget}}}",
    "pulse": "driver: modbus\npoints: {a: {addr: 1, table: coil, write: {pulse: 5}}}",
    "function": "driver: modbus\npoints: {a: {addr: 1, write: {function: 4}}}",
    "flash": "driver: modbus\npoints: {a: {addr: 1, table: coil, write: {flash: {addr: 5}}}}",
    "flash-key": "driver: modbus\npoints: {a: {addr: 1, table: coil, "
                 "write: {flash: {addr: 5, unit: 1s, time: 1}}}}",
    "command-of-modbus": "driver: modbus\npoints: {a: {addr: 1, write: {command: X}}}",
    "base": "driver: modbus\nbase: 2\npoints: {a: {addr: 1}}",
    "batch": "driver: modbus\nbatch: {registers: 126}\npoints: {a: {addr: 1}}",
    "batch-key": "driver: modbus\nbatch: {bytes: 10}\npoints: {a: {addr: 1}}",
    "version": "driver: modbus\nversion: 0\npoints: {a: {addr: 1}}",
    "baud": "driver: modbus\nserial: {baud: 100}\npoints: {a: {addr: 1}}",
    "format": "driver: modbus\nserial: {format: 9N1}\npoints: {a: {addr: 1}}",
    "address": "driver: modbus\nserial: {address: 248}\npoints: {a: {addr: 1}}",
    "defaults": "driver: modbus\ndefaults: {addr: 1}\npoints: {a: {addr: 1}}",
    "example": "driver: modbus\npoints: {a: {addr: 1}}\nexamples: [{send: '01', points: {a: 1}}]",
    "example-of-both": "driver: modbus\npoints: {a: {addr: 1, write: {}}}\n"
                       "examples: [{send: '01', receive: '01', points: {a: 1}, write: {a: 1}}]",
    "example-unsent": "driver: modbus\npoints: {a: {addr: 1, write: {}}}\n"
                      "examples: [{receive: '01', write: {a: 1}}]",
    "example-key": "driver: modbus\npoints: {a: {addr: 1}}\n"
                   "examples: [{receive: '01', gets: '', points: {a: 1}}]",
    "silence-of-modbus": "driver: modbus\nsilence: 60s\npoints: {a: {addr: 1}}",
    "addr-of-text": "driver: text\npoints: {a: {addr: 1}}",
    "two-ways": "driver: text\npoints: {a: {field: 1, key: T}}",
    "no-way": "driver: text\npoints: {a: {unit: V}}",
    "field": "driver: text\npoints: {a: {field: 0}}",
    "json": "driver: text\npoints: {a: {json: temperature}}",
    "raw-type-of-text": "driver: text\npoints: {a: {field: 1, type: u16}}",
    "write-of-text": "driver: text\npoints: {a: {field: 1, write: {}}}",
    "pulse-of-text": "driver: text\n"
                     "points: {a: {field: 1, type: bool, write: {command: X, pulse: 1s}}}",
    "only-write-of-text": "driver: text\npoints: {a: {write: {min: 0}}}",
    "write-of-frame": "driver: frame\nstart: AA\nlength: 4\npoints: {a: {at: 1, write: {}}}",
    "no-at": "driver: frame\nstart: AA\nlength: 4\npoints: {a: {type: u8}}",
    "checksum-of-text": "driver: text\nchecksum: crc8\npoints: {a: {field: 1}}",
    "no-start": "driver: frame\nlength: 4\npoints: {a: {at: 1}}",
    "no-end": "driver: frame\nstart: AA\npoints: {a: {at: 1}}",
    "start": "driver: frame\nstart: A\nlength: 4\npoints: {a: {at: 1}}",
    "length": "driver: frame\nstart: AA\nlength: 1\npoints: {a: {at: 0}}",
    "length-key": "driver: frame\nstart: AA\nlength: {at: 1, bytes: 2}\npoints: {a: {at: 1}}",
    "length-at": "driver: frame\nstart: AA\nlength: {size: 2}\npoints: {a: {at: 1}}",
    "checksum": "driver: frame\nstart: AA\nlength: 4\nchecksum: crc9\npoints: {a: {at: 1}}",
    "checksum-type": "driver: frame\nstart: AA\nlength: 4\nchecksum: {from: 1}\n"
                     "points: {a: {at: 1}}",
    "request": "driver: frame\nrequest: 'FF {adress}'\nlength: 4\npoints: {a: {at: 1}}",
    "stuffing": "driver: frame\nstart: 7E\nend: 7E\nstuffing: hdlc\npoints: {a: {at: 1}}",
    "setup": "driver: frame\nrequest: '01'\nsetup: start\nlength: 4\npoints: {a: {at: 1}}",
    "setup-key": "driver: frame\nrequest: '01'\nsetup: {send: '02', time: 1s}\nlength: 4\n"
                 "points: {a: {at: 1}}",
    "setup-unsent": "driver: frame\nrequest: '01'\nsetup: {wait: 1s}\nlength: 4\n"
                    "points: {a: {at: 1}}",
    "setup-of-text": "driver: text\nrequest: A\nsetup: B\npoints: {a: {field: 1}}",
    "at": "driver: frame\nstart: AA\nlength: 4\npoints: {a: {at: 1024}}",
    "obis": "driver: obis\npoints: {a: {obis: energy}}",
    "group": "driver: obis\npoints: {a: {obis: 1.8.0, group: 0}}",
    "seal": "driver: obis\nchecksum: crc8\npoints: {a: {obis: 1.8.0}}",
    "no-label": "driver: vedirect\npoints: {a: {unit: V}}",
    "extended-key": "extends: xy-md02\nsilence: x\nextend: a",
}
BAD_BUSES = {
    "key": "port: /dev/ttyS0\nparity: N\ndevices: [{name: a, map: xy-md02}]",
    "no-port": "devices: [{name: a, map: xy-md02}]",
    "port": "port: ttyS0\ndevices: [{name: a, map: xy-md02}]",
    "no-devices": "port: /dev/ttyS0",
    "empty-devices": "port: /dev/ttyS0\ndevices: []",
    "map-of-devices": "port: /dev/ttyS0\ndevices: {a: xy-md02}",
    "baud": "port: /dev/ttyS0\nbaud: fast\ndevices: [{name: a, map: xy-md02}]",
    "format": "port: /dev/ttyS0\nformat: 8X1\ndevices: [{name: a, map: xy-md02}]",
    "mode": "port: /dev/ttyS0\nrs485: {mode: on}\ndevices: [{name: a, map: xy-md02}]",
    "echo": "port: /dev/ttyS0\nrs485: {echo: 1}\ndevices: [{name: a, map: xy-md02}]",
    "rs485-key": "port: /dev/ttyS0\nrs485: {ecko: true}\ndevices: [{name: a, map: xy-md02}]",
    "timeout": "port: /dev/ttyS0\ntimeout: 300\ndevices: [{name: a, map: xy-md02}]",
    "commands": "port: /dev/ttyS0\ncommands: 1\ndevices: [{name: a, map: xy-md02}]",
    "command-rate": "port: /dev/ttyS0\ncommand_rate: 0\ndevices: [{name: a, map: xy-md02}]",
    "device-commands": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, commands: off}]",
    "device-rate": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, command_rate: 10/s}]",
    "retries": "port: /dev/ttyS0\nretries: 11\ndevices: [{name: a, map: xy-md02}]",
    "nameless": "port: /dev/ttyS0\ndevices: [{map: xy-md02}]",
    "mapless": "port: /dev/ttyS0\ndevices: [{name: a}]",
    "device-name": "port: /dev/ttyS0\ndevices: [{name: a/b, map: xy-md02}]",
    "taken-name": "port: /dev/ttyS0\ndevices: [{name: status, map: xy-md02}]",
    "device-key": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, adress: 1}]",
    "address": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, address: 0}]",
    "range": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, address: 1..4}]",
    "topic": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, topic: a/+/b}]",
    "full": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, full: 1}]",
    "every": "port: /dev/ttyS0\ndevices: [{name: a, map: xy-md02, every: 1}]",
    "point-key": "port: /dev/ttyS0\n"
                 "devices: [{name: a, map: xy-md02, points: {humidity: {addr: 3}}}]",
}


def what_ships_is_valid():
    for path in sorted((SOURCE / "devices").glob("*.yaml")):
        for fault in schema_faults("map", path.read_text()):
            yield f"{path.name}: {fault}"
    for path in sorted((SOURCE / "etc/buses.d").glob("*.yaml")):
        for fault in schema_faults("bus", path.read_text()):
            yield f"{path.name}: {fault}"


def what_is_bad_is_refused_by_both():
    files = {("map", name): f"map: {name}\n{text}\n" for name, text in BAD_MAPS.items()}
    files |= {("bus", name): f"bus: {name}\n{text}\n" for name, text in BAD_BUSES.items()}
    of_loader = loader_faults(files)
    for (kind, name), text in files.items():
        if not of_loader[kind, name]:
            yield f"{kind} {name}: the loader takes it"
        if not schema_faults(kind, text):
            yield f"{kind} {name}: the schema takes it"


# --- the same keys everywhere ---

POINTS = {"modbus": "addr: 1", "text": "field: 1", "frame": "at: 1", "obis": "obis: 1.8.0",
          "vedirect": "key: V"}


def properties(schema, *path):
    """The keys of the map at a path of keys and definitions."""
    node = schema
    for step in path:
        node = node[step]
        for nested in node.get("anyOf", []):
            if nested.get("type") == "object":
                node = nested
    return set(node["properties"])


def places():
    """Each map of keys: kind of file, the keys that its schema has, a file with a gap for more."""
    d = MAP["definitions"]
    for driver, point in POINTS.items():
        head = f"map: NAME\ndriver: {driver}\n"
        yield "map", properties(d, f"{driver}_map"), head + f"points: {{a: {{{point}}}}}\n{{}}"
        yield "map", properties(d, f"{driver}_point"), head + f"points:\n  a:\n{{}}"
        yield "map", properties(d, f"{driver}_defaults"), head + "defaults:\n{}"
    head = "map: NAME\ndriver: modbus\n"
    yield "map", properties(d, "serial"), head + "serial:\n{}"
    yield "map", properties(d, "batch"), head + "batch:\n{}"
    yield "map", properties(d, "write"), head + "points:\n  a:\n    addr: 1\n    write:\n{}"
    yield "map", properties(d, "example"), head + "points: {a: {addr: 1}}\nexamples:\n  -\n{}"
    head = "map: NAME\ndriver: frame\n"
    yield "map", properties(d, "length"), head + "length:\n{}"
    yield "map", properties(d, "frame_write"), head + "points:\n  a:\n    write:\n{}"
    yield "map", properties(d, "text_write"), (
        "map: NAME\ndriver: text\npoints:\n  a:\n    write:\n{}")
    yield "map", properties(d, "frame_checksum"), head + "checksum:\n{}"
    d = BUS["definitions"]
    devices = "devices:\n  - name: a\n    map: xy-md02\n"
    yield "bus", set(BUS["properties"]), "{}"
    yield "bus", properties(BUS, "properties", "rs485"), "bus: NAME\nrs485:\n{}"
    yield "bus", properties(d, "device"), "bus: NAME\ndevices:\n  -\n{}"
    yield "bus", properties(d, "own_point"), (
        f"bus: NAME\nport: /x\n{devices}    points:\n      humidity:\n{{}}")


def keys_of_the_loader():
    found = set()
    for path in (SOURCE / "src/config").glob("*.c"):
        if path.name != "conf.c":
            found |= set(re.findall(r'\b(?:KEY|NEEDED)\("(\w+)"', path.read_text()))
    return found


def keys_of_the_schemas(node):
    if isinstance(node, list):
        return set().union(*map(keys_of_the_schemas, node))
    if not isinstance(node, dict):
        return set()
    own = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return own.union(*map(keys_of_the_schemas, node.values()))


def with_keys(gap, keys):
    """The file with these keys in its gap, at its end, deeper than the line before it."""
    before = gap.split("{}")[0].rstrip("\n").rsplit("\n", 1)[-1]
    opens = before.endswith((":", "-"))
    depth = len(before) - len(before.lstrip()) + 4 if opens else 0
    return gap.replace("{}", "".join(f"{' ' * depth}{key}: 1\n" for key in keys))


def the_keys_are_the_same():
    candidates = keys_of_the_loader() | keys_of_the_schemas(MAP) | keys_of_the_schemas(BUS)
    files, asked = {}, {}
    for number, (kind, known, gap) in enumerate(places()):
        # A key that stands there already is known; the loader tells of 20 that are not.
        # What a map extends is looked for first, and where it is missing, nothing else is.
        rest = sorted(candidates - {"extends"} - set(re.findall(r"^(\w+):", gap, re.M)))
        for at in range(0, len(rest), 12):
            key = (kind, f"p{number}-{at}")
            asked[key] = (known, rest[at:at + 12], gap)
            files[key] = with_keys(gap, rest[at:at + 12]).replace("NAME", key[1])
    faults = loader_faults(files)
    for key, (known, names, gap) in asked.items():
        if not faults[key]:
            yield f"{key}: nothing is wrong with\n{files[key]}"
        unknown = {match[1] for line in faults[key]
                   if (match := re.search(r"has no key '(\w+)'", line))}
        for name in names:
            if (name in known) == (name in unknown):
                where = "the loader" if name in unknown else "the schema"
                yield f"{where} does not know {name} in:\n{gap}"


# --- the same words ---

def words_in(file, array):
    text = (SOURCE / file).read_text()
    return re.findall(r'"([^"]+)"', re.search(array + r"\[\] = \{(.*?)\};", text, re.S)[1])


def the_words_are_the_same():
    d = MAP["definitions"]
    drivers = [name for path in (SOURCE / "src/drivers").glob("*.c")
               for name in re.findall(r'const struct driver driver_\w+ = \{\s+\.name = "([^"]+)"',
                                      path.read_text())]
    types = {"string[8]" if word == "string[N]" else word
             for word in words_in("src/config/coding.c", "type_names")}
    for what, of_schema, of_loader in (
        ("driver", d["driver"]["enum"], drivers),
        ("class", d["class"]["enum"], words_in("src/config/meaning.c", "class_names")),
        ("table", d["table"]["enum"], words_in("src/config/coding.c", "table_names")),
        ("type", d["type"]["examples"], types),
        ("type of text", d["written_type"]["enum"],
         words_in("src/config/coding.c", "written_names")),
        ("checksum", d["frame_checksum"]["anyOf"][0]["enum"],
         words_in("src/base/checksum.c", "checksum_names")),
    ):
        for word in sorted(set(of_schema) ^ set(of_loader)):
            yield f"{what}: {word} is not in both"
    for word in types:
        if not re.search(d["type"]["pattern"], word):
            yield f"type: {word} does not match the schema's pattern"


def main():
    failed = 0
    for test in (what_ships_is_valid, what_is_bad_is_refused_by_both, the_keys_are_the_same,
                 the_words_are_the_same):
        print(f"[ RUN      ] {test.__name__}")
        wrong = list(test())
        print(*wrong, sep="\n", end="\n" if wrong else "")
        print(f"[  FAILED  ] {test.__name__}" if wrong else f"[       OK ] {test.__name__}")
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
