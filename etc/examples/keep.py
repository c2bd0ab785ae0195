#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
r"""keep.py - keeps each message once, and tells which never came.

    mosquitto_sub -V 5 -q 1 -c -i keeper -R -t 'barn/#' -F '%t\t%P\t%p' | ./keep.py readings.db

`seq`, which is a user property of each message under MQTT 5, and the gateway's name are the key:
a message that comes twice is kept once. A number that did not come is a hole, unless a message
on {gateway}/loss told of it.
"""
import json
import re
import sqlite3
import sys

HOLES = """SELECT gateway, seq + 1, next - 1 FROM (
    SELECT gateway, seq, LEAD(seq) OVER (PARTITION BY gateway ORDER BY seq) AS next FROM message)
    WHERE next > seq + 1"""


def keep(db, line):
    """Whether it had not come before."""
    topic, properties, payload = line.rstrip("\n").split("\t", 2)
    seq = re.search(r"\bseq:(\d+)", properties)
    if not seq:  # {gateway}/status, which is not counted
        return True
    with db:
        return db.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?)",
                          (topic.split("/")[0], int(seq[1]), topic, payload)).rowcount > 0


def why(db, gateway, first, last):
    for (payload,) in db.execute("SELECT payload FROM message WHERE topic = ?",
                                 (f"{gateway}/loss",)):
        loss = json.loads(payload)
        if loss["from"] <= first and last <= loss["to"]:
            return loss["why"]
    return "nobody said why"


def main():
    db = sqlite3.connect(sys.argv[1])
    db.execute("CREATE TABLE IF NOT EXISTS message "
               "(gateway TEXT, seq INTEGER, topic TEXT, payload TEXT, PRIMARY KEY (gateway, seq))")
    try:
        for line in sys.stdin:
            print("kept " if keep(db, line) else "again", line, end="", flush=True)
    except KeyboardInterrupt:
        pass
    for gateway, first, last in db.execute(HOLES).fetchall():
        print(f"{gateway}: {first} to {last} did not come: {why(db, gateway, first, last)}")


main()
