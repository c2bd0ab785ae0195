#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts: what the gateway read before one is delivered after it, each number once.

A counter on the 16550 says one number after the other, and the plug is pulled at a random
moment. The broker outlives that; half of the time it is away meanwhile.

Usage: cuts.py ROOT PLACE POSTBUS [CUTS]
"""
import os
import random
import subprocess
import sys
import threading
import time

from broker import Broker, Subscriber
from machine import HOST, Gone, Machine, connect, wait_for
from report import case, check, end

PERIOD_S = 0.05
# After a cut, what was read so long before may be missing: what a sync takes, on a machine that
# is emulated, and the interval.
UNSYNCED_S = {"always": 0.5, "1s": 1.5}

MAP = """map: counter
version: 1
title: says one number after the other
source: "this test"
driver: text
points:
  n: {key: n, type: number, every: 1ms}
examples:
  - {receive: "n=1\\n", points: {n: 1}}
  - {receive: "n=2\\n", points: {n: 2}}
"""
BUS = """bus: wire
port: /dev/ttyS1
baud: 115200
format: 8N1
devices:
  - {name: counter, map: counter}
"""
CONF = """gateway = "vm";
broker: { host = "%s"; port = %d; inflight = 100; reconnect: { first = "100ms"; most = "500ms"; }; };
publish: { qos = 2; clock_wait = "0s"; };
spool: { sync = "%s"; };
"""


class Counter:
    """Says numbers on a wire, and remembers when it said which."""

    def __init__(self):
        self.said = {}
        self.link = None
        self.number = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            link = self.link
            if link:
                self.number += 1
                now = time.monotonic()
                try:
                    link.sendall(f"n={self.number}\n".encode())
                    self.said[self.number] = now
                except OSError:
                    self.link = None
            time.sleep(PERIOD_S)


def debugfs(disk, *commands):
    """Writes to the disk of a machine that is off, or reads from it."""
    script = "".join(command + "\n" for command in commands)
    subprocess.run(["debugfs", "-w", "-f", "-", disk], input=script, text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def put(machine, files):
    """Files with their texts, onto the disk of a machine that is off."""
    commands = ["mkdir /etc/postbus", "mkdir /etc/postbus/devices", "mkdir /etc/postbus/buses.d",
                "mkdir /var/lib/postbus"]
    for i, (name, text) in enumerate(files.items()):
        with open(machine.path(f"file{i}"), "w", encoding="utf-8") as out:
            out.write(text)
        commands += [f"rm {name}", f"write {machine.path(f'file{i}')} {name}"]
    debugfs(machine.disk, *commands)


def install(machine, broker, sync):
    """The counter's configuration."""
    put(machine, {"/etc/postbus/devices/counter.yaml": MAP,
                  "/etc/postbus/buses.d/wire.yaml": BUS,
                  "/etc/postbus/postbus.conf": CONF % (HOST, broker.port, sync)})


def check_disk(machine, postbus):
    """The file system and the spool, as the cut left them: what is wrong, or None."""
    fsck = subprocess.run(["e2fsck", "-p", "-f", machine.disk], capture_output=True, text=True,
                          check=False)
    if fsck.returncode not in (0, 1):
        return f"e2fsck: {fsck.returncode}: {fsck.stdout}"
    spool = machine.path("spool")
    subprocess.run(["rm", "-rf", spool], check=True)
    debugfs(machine.disk, f"rdump /var/lib/postbus/spool {machine.place}")
    if not os.path.isdir(spool):
        return "there is no spool"
    verify = subprocess.run([postbus, "spool", "verify", "--directory", spool],
                            capture_output=True, text=True, check=False)
    if verify.returncode:
        return f"spool verify: {verify.returncode}: {verify.stdout}{verify.stderr}"
    return None


class Trial:
    """Cuts with one setting of `sync`."""

    def __init__(self, root, place, postbus, sync):
        self.postbus = postbus
        self.sync = sync
        os.makedirs(place)
        self.broker = Broker(place)
        self.subscriber = Subscriber(self.broker, "cuts-" + sync)
        self.machine = Machine(os.path.join(place, "machine"), root)
        self.counter = Counter()
        self.cut_at = []  # times of the cuts
        self.faults = []
        self.away = 0     # cuts while the broker was away
        install(self.machine, self.broker, sync)

    def boot(self):
        """Returns once the counter is listened to."""
        self.machine.start(init="/usr/local/sbin/init")
        wait_for("the port", lambda: "is open" in self.machine.run("cat /run/postbus.log"), 300)
        self.counter.link = connect(self.machine.path("wire0"))

    def cut(self, away):
        """One boot, which ends at a random moment."""
        self.boot()
        known = len(self.subscriber.messages)
        wait_for("a reading", lambda: len(self.subscriber.messages) > known + 2, 120)
        if away:
            self.broker.stop()
            self.away += 1
        time.sleep(random.uniform(0.2, 3.0))
        self.counter.link = None
        self.cut_at.append(time.monotonic())
        self.machine.cut_power()
        if not self.broker.process:
            self.broker.start()
        fault = check_disk(self.machine, self.postbus)
        if fault:
            self.faults.append(fault)

    def settle(self):
        """A last boot, until nothing waits any more."""
        self.boot()
        first = self.counter.number
        wait_for("more numbers", lambda: self.counter.number > first + 10)
        self.counter.link = None
        time.sleep(2 * PERIOD_S)
        last = max(self.counter.said)
        try:
            wait_for("the last number",
                     lambda: any(reading["n"] == last for reading in self.readings()), 120)
            self.machine.run("for i in $(seq 600); do postbus spool status --json | "
                             "grep -q '\"waiting\":0[,}]' && exit; sleep 0.1; done; exit 1")
        except Gone as gone:
            self.faults.append(str(gone))
        self.machine.cut_power()

    def readings(self):
        return [payload for payload in self.subscriber.on("vm/counter")
                if isinstance(payload, dict) and "n" in payload]

    def lost(self):
        """Numbers that did not come: those that were to, and how old the oldest of all was."""
        came = {reading["n"] for reading in self.readings()}
        late = UNSYNCED_S[self.sync]
        lost, oldest = [], 0.0
        for number, said in self.counter.said.items():
            if number in came:
                continue
            ages = [cut - said for cut in self.cut_at if cut >= said]
            if not ages:
                continue  # it was said in the last boot, and counts there
            oldest = max(oldest, min(ages))
            if min(ages) > late:
                lost.append(number)
        return lost, oldest

    def report(self):
        """Prints the counts, which are to be as they should."""
        readings = self.readings()
        numbers = [reading["n"] for reading in readings]
        seqs = [payload["seq"] for _, payload in self.subscriber.messages
                if isinstance(payload, dict) and "seq" in payload]
        lost, oldest = self.lost()
        twice = len(numbers) - len(set(numbers))
        again = len(seqs) - len(set(seqs))
        for fault in self.faults:
            print(fault)
        for number in sorted({seq for seq in seqs if seqs.count(seq) > 1})[:10]:
            print([message for message in self.subscriber.messages
                   if isinstance(message[1], dict) and message[1].get("seq") == number])
        print(f"sync = \"{self.sync}\": {len(self.cut_at)} cuts, {self.away} with the broker "
              f"away: said {len(self.counter.said)}, delivered {len(set(numbers))}, lost "
              f"{len(lost)} (newest readings: up to {oldest:.2f} s before a cut), twice {twice}, "
              f"numbers used again {again}, damaged disks or spools {len(self.faults)}", flush=True)
        check(not (lost or twice or again or self.faults), "what was promised is not so")

    def end(self):
        self.machine.cut_power()
        self.subscriber.stop()
        self.broker.stop()


def main():
    root, place, postbus = sys.argv[1:4]
    cuts = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    for sync in UNSYNCED_S:
        trial = Trial(root, os.path.join(place, sync), postbus, sync)
        try:
            with case(f"{cuts // 2} power cuts with sync = \"{sync}\""):
                for i in range(cuts // 2):
                    trial.cut(away=i % 2 == 1)
                trial.settle()
                trial.report()
        finally:
            trial.end()
    end()


if __name__ == "__main__":
    main()
