#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job on an emulated Arm machine: the program that a Pi runs, run.

Usage: arm.py ROOT PLACE POSTBUS BOARD
"""
import os
import sys

from broker import Broker, Subscriber
from cuts import CONF, put
from machine import ADAPTER, HOST, Machine, wait_for
from report import case, check, end
from wire import Simulated

BUS = f"bus: usb\nport: usb:0403:6001:{ADAPTER}\nbaud: 9600\nformat: 8N1\ntimeout: 2s\ndevices:\n" \
      "  - {name: garden, map: xy-md02, address: 2, every: 1s}\n"


def main():
    root, place, postbus, board = sys.argv[1:5]
    os.makedirs(place)
    broker = Broker(place)
    subscriber = Subscriber(broker)
    machine = Machine(os.path.join(place, "machine"), root, board)
    put(machine, {"/etc/postbus/buses.d/usb.yaml": BUS,
                  "/etc/postbus/postbus.conf": CONF % (HOST, broker.port, "1s")})
    garden = None
    try:
        with case(f"{board} boots", needed=True):
            machine.start(init="/usr/local/sbin/init", cache="unsafe")
            garden = Simulated(postbus, machine.path("wire1"), ["xy-md02@2"], 9600, place)
            print(machine.run("uname -srm; postbus --version").strip().replace("\n", ", "),
                  flush=True)
        with case("a device on the adapter is read, and its readings arrive"):
            wait_for("readings", lambda: len(subscriber.on("vm/garden")) >= 10, 300)
            seqs = [reading["seq"] for reading in subscriber.on("vm/garden")]
            check(len(seqs) == len(set(seqs)), "a number came twice")
            check(all("temperature" in reading for reading in subscriber.on("vm/garden")[:1]),
                  subscriber.on("vm/garden")[:1])
    finally:
        machine.cut_power()
        if garden:
            garden.stop()
        subscriber.stop()
        broker.stop()
    end()


if __name__ == "__main__":
    main()
