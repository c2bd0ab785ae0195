# SPDX-License-Identifier: Apache-2.0
"""manual.py - each verb, option and key is in the manual, and the manual has no others.

Verbs and options are what `--help` tells, keys of postbus.conf those of the tables in conf_keys.c,
keys of buses and maps those of the JSON Schemas, which schema.py holds to the loader.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(os.environ.get("POSTBUS_SOURCE", Path(__file__).parent.parent))
POSTBUS = os.environ.get("POSTBUS", SOURCE / "build/postbus")
PAGES = {path.name: path.read_text() for path in sorted((SOURCE / "man").glob("*.[1-8]"))}
MACROS = set("Ar Bo Bc Bro Brc Cm Dv Ev Fl Ic It Li Nd Nm No Ns Oc Oo Op Pa Pf Po Pc Pq "
             "Qc Qo Sq Sx Ss Va Xr".split())
EVERY_VERB_HAS = {"-h", "--help"}
# Who stands in front of an option in a help text: a blank, a bracket behind one, a bar.
OPTION = re.compile(r"(?:^|[\s|,(]|(?<=\s)\[)(--?[A-Za-z][A-Za-z-]*)", re.M)


# --- what the program says ---

def help_of(*verb):
    done = subprocess.run([POSTBUS, *verb, "--help"], text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"postbus {' '.join(verb)} --help: {done.returncode} {done.stderr}")
    return done.stdout


def verbs_in(text):
    return re.findall(r"^  ([a-z][a-z-]*) +\S", text, re.M)


def verbs_under(verb):
    """Of `spool` by its list, of `maps show` by its usage."""
    text = help_of(verb)
    return set(verbs_in(text)) | set(re.findall(rf"postbus {verb} ([a-z]+)\b", text))


def options_of(verb):
    texts = [help_of(verb)]
    texts += [help_of(verb, below) for below in verbs_in(texts[0])]
    return {option for text in texts for option in OPTION.findall(text)}


VERBS = verbs_in(help_of())
OPTIONS = {verb: options_of(verb) for verb in VERBS}


# --- what the manual says ---

def parts(text, macro):
    """The page cut at its headings: [(heading, what stands under it)]."""
    cut = re.split(rf"^\.{macro} (.*)$", text, flags=re.M)
    return list(zip(cut[1::2], cut[2::2]))


def part(page, heading):
    return dict(parts(PAGES[page], "Sh"))[heading]


def flags(text):
    """The options that `Fl` names: `.It Fl c , -config Ar file`."""
    found = set()
    for line in re.findall(r"^\.(.*\bFl\b.*)$", text, re.M):
        is_flag = False
        for word in line.split():
            if word in MACROS:
                is_flag = word == "Fl"
            elif is_flag and re.fullmatch(r"-?[A-Za-z][A-Za-z-]*", word):
                found.add(f"-{word}")
    return found


def keys(text):
    """The keys that are explained: `.It Ic rs485 : Bro Ic mode : Ar mode Brc`."""
    return set(re.findall(r"\bIc (\w+) [:=]", text))


def sections_of_verbs():
    """{verb: all that stands under headings which begin with it}."""
    found = {}
    for heading, text in parts(part("postbus.1", "DESCRIPTION"), "Ss"):
        verb = heading.split()[0]
        found[verb] = found.get(verb, "") + f".Ss {heading}\n{text}"
    return found


def differ(what, wanted, found):
    for name in sorted(wanted - found):
        yield f"{what}: {name} is missing"
    for name in sorted(found - wanted):
        yield f"{what}: there is no {name}"


# --- the tests ---

def every_verb_is_in_the_manual():
    sections = sections_of_verbs()
    yield from differ("postbus.1, headings", set(VERBS), set(sections))
    synopsis = set(re.findall(r"^\.Cm ([a-z]+)", part("postbus.1", "SYNOPSIS"), re.M))
    yield from differ("postbus.1, synopsis", set(VERBS), synopsis)
    for verb in sections:
        for below in verbs_under(verb) if verb in VERBS else ():
            if not re.search(rf"^\.(It Cm|Ss {verb}) {below}\b", sections[verb], re.M):
                yield f"postbus.1: {verb} {below} is missing"


def every_option_is_in_the_manual():
    for verb, text in sections_of_verbs().items():
        if verb in OPTIONS:
            yield from differ(f"postbus.1, {verb}", OPTIONS[verb] - EVERY_VERB_HAS,
                              flags(text) - EVERY_VERB_HAS)


def every_option_is_in_the_help():
    taken = set()
    for path in (SOURCE / "src").rglob("*.c"):
        taken |= set(re.findall(r'\{\s*"([a-z-]+)",\s*\w+_argument\b', path.read_text()))
    told = set().union(*OPTIONS.values())
    for name in sorted(taken):
        if f"--{name}" not in told:
            yield f"no --help has --{name}"


def commands_that_are_quoted_exist():
    """`postbus read PORT MAP --json` in pages and in what else a user reads."""
    texts = PAGES | {name: (SOURCE / name).read_text()
                     for name in ("README.md", "CONTRIBUTING.md", "devices/README.md")}
    for name, text in texts.items():
        for line in text.replace("\\-", "-").splitlines():
            for verb, rest in re.findall(r"\bpostbus (?:-- )?([a-z]+)\b([^`|#]*)", line):
                for option in OPTION.findall(rest) if verb in OPTIONS else ():
                    if option not in OPTIONS[verb]:
                        yield f"{name}: postbus {verb} has no {option}"
    for name, text in PAGES.items():
        for option in sorted(flags(text) - {"--version"}):
            if name != "postbus.1" and option not in set().union(*OPTIONS.values()):
                yield f"{name}: there is no {option}"


def tables_of_conf():
    """{table: [(key, table of its keys or '', its words)]}"""
    text = (SOURCE / "src/config/conf_keys.c").read_text()
    tables = {}
    for name, body in re.findall(r"struct key (\w+)\[\] = \{(.*?)\n\};", text, re.S):
        tables[name] = []
        for entry in re.split(r"\n\t(?=\{)", body):
            if match := re.match(r'\s*\{"(\w+)"', entry):
                below = re.search(r"\.keys = (\w+)", entry)
                words = re.search(r"WORDS\(([^)]*)\)", entry)
                tables[name].append((match[1], below[1] if below else "",
                                     re.findall(r'"([^"]*)"', words[1]) if words else []))
    return tables


def keys_below(tables, table):
    return {name for key, below, _ in tables[table]
            for name in {key} | (keys_below(tables, below) if below else set())}


def words_below(tables, table):
    return {word for _, below, words in tables[table]
            for word in set(words) | (words_below(tables, below) if below else set())}


def every_key_of_the_configuration_is_in_the_manual():
    tables, page = tables_of_conf(), PAGES["postbus.conf.5"]
    yield from differ("postbus.conf.5, the gateway", {key for key, _, _ in tables["conf_keys"]},
                      keys(part("postbus.conf.5", "THE GATEWAY")))
    of_group = {match[1]: text for _, text in parts(page, "Sh")
                if (match := re.search(r"Settings in the group\n\.Ic (\w+)", text))}
    for group, table in ((key, below) for key, below, _ in tables["conf_keys"] if below):
        text = of_group.get(group, "")
        yield from differ(f"postbus.conf.5, {group}", keys_below(tables, table), keys(text))
        for word in sorted(words_below(tables, table)):
            if not re.search(rf"\bCm {re.escape(word)}(\s|$)", text, re.M):
                yield f"postbus.conf.5, {group}: the word {word} is missing"


WORDS_OF_CHANGES = {"CONF_RESTART": "a restart", "CONF_LINK": "another link to the broker",
                    "CONF_BUSES": "all buses anew", "CONF_NOW": "nothing"}


def changes_of_conf():
    """{key: what it takes for a change of it}: keys of the file, and those that differ below."""
    text = (SOURCE / "src/config/conf_keys.c").read_text()
    said = {table: {(match[1], below[1] if (below := re.search(r"\.keys = (\w+)", entry)) else ""):
                    (re.search(r"\.change = (\w+)", entry) or ["", ""])[1]
                    for entry in re.split(r"\n\t(?=\{)", body)
                    if (match := re.match(r'\s*\{"(\w+)"', entry))}
            for table, body in re.findall(r"struct key (\w+)\[\] = \{(.*?)\n\};", text, re.S)}
    changes = {}
    for (key, below), change in said["conf_keys"].items():
        changes[key] = WORDS_OF_CHANGES[change or "CONF_RESTART"]
        changes |= {f"{key}.{inner}": WORDS_OF_CHANGES[inner_change]
                    for (inner, _), inner_change in said.get(below, {}).items() if inner_change}
    return changes


def the_manual_says_what_a_reload_takes():
    told = {}
    for names, words in re.findall(r"^\.It Ic (.*) Ta (.*)$", part("postbus.conf.5", "RELOADING"),
                                   re.M):
        told |= {name: words for name in re.findall(r"[\w.]+", names.replace("No others", ""))}
    changes = changes_of_conf()
    yield from differ("postbus.conf.5, reloading", set(changes), set(told))
    yield from (f"postbus.conf.5, reloading: {name} takes {changes[name]}"
                for name in changes.keys() & told.keys()
                if not told[name].startswith(changes[name]))


def properties(node):
    if isinstance(node, list):
        return set().union(*map(properties, node))
    if not isinstance(node, dict):
        return set()
    own = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return own.union(*map(properties, node.values()))


def schema_of(name):
    return json.loads((SOURCE / f"schema/postbus-{name}.schema.json").read_text())


def every_key_of_a_bus_is_in_the_manual():
    schema = schema_of("bus")
    for what, node, heading in (
        ("a bus", schema["properties"], "KEYS OF A BUS"),
        ("a device", schema["definitions"]["device"], "KEYS OF A DEVICE"),
    ):
        own = set(node if heading == "KEYS OF A BUS" else node["properties"])
        yield from differ(f"postbus-bus.5, {what}", own | properties(node),
                          keys(part("postbus-bus.5", heading)))


def every_key_of_a_map_is_in_the_manual():
    yield from differ("postbus-device-map.5", properties(schema_of("device-map")),
                      keys(PAGES["postbus-device-map.5"]))


def pages_refer_to_pages_that_are_installed():
    installed = set(re.findall(r"\bman/([\w.-]+\.[1-8])", (SOURCE / "Makefile.am").read_text()))
    yield from differ("Makefile.am's dist_man_MANS", set(PAGES), installed)
    for name, text in PAGES.items():
        for page, section in re.findall(r"^\.Xr (postbus[\w.-]*) ([1-8])", text, re.M):
            if f"{page}.{section}" not in PAGES:
                yield f"{name}: there is no {page}({section})"


def no_page_has_a_fault():
    """What mandoc and groff have to say, where they are."""
    for command in (["mandoc", "-Tlint", "-Wwarning"], ["man", "--warnings", "-Tutf8", "-Z", "-l"]):
        for name in PAGES if shutil.which(command[0]) else ():
            done = subprocess.run([*command, SOURCE / "man" / name], text=True,
                                  capture_output=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
            said = done.stdout if command[0] == "mandoc" else done.stderr
            yield from (said.splitlines() or
                        ([f"{command[0]} {name}: {done.returncode}"] if done.returncode else []))


def main():
    failed = 0
    for test in (every_verb_is_in_the_manual, every_option_is_in_the_manual,
                 every_option_is_in_the_help, commands_that_are_quoted_exist,
                 every_key_of_the_configuration_is_in_the_manual,
                 the_manual_says_what_a_reload_takes,
                 every_key_of_a_bus_is_in_the_manual, every_key_of_a_map_is_in_the_manual,
                 pages_refer_to_pages_that_are_installed, no_page_has_a_fault):
        print(f"[ RUN      ] {test.__name__}")
        wrong = list(test())
        print(*wrong, sep="\n", end="\n" if wrong else "")
        print(f"[  FAILED  ] {test.__name__}" if wrong else f"[       OK ] {test.__name__}")
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
