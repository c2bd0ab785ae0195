#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine that wakes in 1970, as one without a battery does, and is told the time later.

Usage: clock.py ROOT PLACE POSTBUS
"""
import os
import sys
import time

from broker import Broker, Subscriber, seconds
from cuts import Counter, install
from machine import Machine, connect, wait_for
from report import case, check, end

# What the text of a line, the emulated machine and the setting of its clock may take together.
WRONG_MOST_S = 3.0


def main():
    root, place, _ = sys.argv[1:4]
    os.makedirs(place)
    broker = Broker(place)
    subscriber = Subscriber(broker)
    machine = Machine(os.path.join(place, "machine"), root)
    counter = Counter()
    install(machine, broker, "1s")
    try:
        with case("readings are taken in a machine that believes in 1970", needed=True):
            broker.stop()
            machine.start(init="/usr/local/sbin/init", rtc="1970-01-01T00:00:00")
            wait_for("the port", lambda: "is open" in machine.run("cat /run/postbus.log"), 300)
            year = machine.run("date +%Y").strip()
            check(int(year) < 2000, f"it believes in {year}")
            counter.link = connect(machine.path("wire0"))
            first = counter.number
            wait_for("numbers", lambda: counter.number > first + 50)
            check('"waiting":0,' not in machine.run("postbus spool status --json").replace(" ", ""),
                  "nothing waits")
        with case("the clock is set right, and what was read before has its time", needed=True):
            # As a time server's daemon does: it is stepped, and the kernel is told that it is right.
            machine.run(f"date -s @{time.time():.3f}\nadjtimex --status 1 --maxerror 0 "
                        "--esterror 0")
            told = max(counter.said)
            wait_for("numbers after it", lambda: counter.number > told + 50)
            broker.start()
            wait_for("all of them", lambda: any(reading["n"] > told + 40 for reading in
                                                subscriber.on("vm/counter")), 180)
            offset = time.time() - time.monotonic()
            readings = [reading for reading in subscriber.on("vm/counter")
                        if reading["n"] in counter.said]
            before = [reading for reading in readings if reading["n"] <= told]
            check(len(before) > 30, f"only {len(before)} came of the time before")
            worst = max(abs(seconds(reading["time"]) - (counter.said[reading["n"]] + offset))
                        for reading in readings)
            marked = [reading for reading in readings if "clock" in reading]
            print(f"{len(before)} readings before the clock was set, {len(readings) - len(before)} "
                  f"after; times wrong by at most {worst:.2f} s; {len(marked)} marked as doubtful",
                  flush=True)
            check(worst < WRONG_MOST_S, "times are wrong")
            check(not marked, f"marked: {marked[:3]}")
    finally:
        machine.cut_power()
        subscriber.stop()
        broker.stop()
    end()


if __name__ == "__main__":
    main()
