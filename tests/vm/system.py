#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway as a service of a real systemd, on serial ports that libserialport opens.

Usage: system.py ROOT PLACE POSTBUS [REPLUGS]
"""
import json
import os
import sys
import time

from broker import Broker, Subscriber, seconds
from machine import ADAPTER, HOST, Machine, wait_for
from report import case, check, end
from wire import Simulated, Talker

PASSWORD = "sesame"
CONF = """gateway = "vm";
broker: {{ host = "{host}"; port = {port}; username = "vm";
          reconnect: {{ first = "200ms"; most = "1s"; }}; }};
publish: {{ clock_wait = "0s"; }};
"""
DROP_IN = """[Service]
LoadCredential=password:/etc/postbus/password
WatchdogSec=10s
"""
# Devices that are polled, on the 16550 and on the adapter.
UART = "bus: uart\nport: /dev/ttyS1\nbaud: 19200\nformat: 8N1\ntimeout: 1s\ndevices:\n" \
       "  - {name: climate, map: xy-md02, address: 1, every: %s}\n"
USB = f"bus: usb\nport: usb:0403:6001:{ADAPTER}\nbaud: 9600\nformat: 8N1\ntimeout: 1s\ndevices:\n" \
      "  - {name: garden, map: xy-md02, address: 2, every: 100ms}\n"
# A frame of each byte that there is, and as many points.
BYTES = bytes(range(256))
FRAME = b"\xa5\x5a" + BYTES + (sum(BYTES) & 0xffff).to_bytes(2, "big")
FRAME_MAP = "map: bytes\nversion: 1\ntitle: each byte there is\nsource: \"this test\"\n" \
            "driver: frame\nstart: \"A5 5A\"\nlength: 260\nchecksum: {type: sum16, from: 2}\n" \
            "defaults: {type: u8, every: 100ms}\npoints:\n" + \
            "".join(f"  b{i}: {{at: {i + 2}}}\n" for i in range(256)) + \
            "examples:\n" + 2 * f"  - {{receive: \"{FRAME.hex(' ')}\", points: {{b17: 17}}}}\n"
TALK = "bus: %s\nport: %s\nbaud: %d\nformat: %s\ndevices:\n  - {name: bytes, map: bytes}\n"
# Speeds and formats of both ports.
SETTINGS = [(9600, "8N1"), (19200, "8E1"), (115200, "8O1"), (38400, "8N2")]


def write(machine, name, text):
    """A file of the guest."""
    machine.run(f"mkdir -p $(dirname {name})\ncat >{name} <<'END'\n{text}\nEND")


def show(machine, what):
    """A property of the service."""
    return machine.run(f"systemctl show --value -p {what} postbus").strip()


class Gateway:
    """The machine with its broker, and what is tried on it in turn."""

    def __init__(self, root, place, postbus):
        os.makedirs(place)
        self.place = place
        self.postbus = postbus
        self.broker = Broker(place, "vm", PASSWORD)
        self.subscriber = Subscriber(self.broker)
        self.machine = Machine(os.path.join(place, "machine"), root)
        self.machine.start(cache="unsafe")
        self.attach_devices()

    def attach_devices(self):
        """To both wires."""
        self.climate = Simulated(self.postbus, self.machine.path("wire0"), ["xy-md02@1"], 19200,
                                 self.place)
        self.garden = Simulated(self.postbus, self.machine.path("wire1"), ["xy-md02@2"], 9600,
                                self.place)

    def readings(self, device):
        """What came from it so far."""
        return self.subscriber.on("vm/" + device)

    def await_more(self, device, count=3, patience_s=180.0):
        """More than have come so far."""
        before = len(self.readings(device))
        wait_for(f"readings of {device}", lambda: len(self.readings(device)) >= before + count,
                 patience_s)

    def status(self):
        """What the gateway says of itself."""
        return json.loads(self.machine.run("postbus status --json"))

    def bus(self, name):
        """One bus of it."""
        return next(bus for bus in self.status()["buses"] if bus["bus"] == name)

    def configure(self):
        """As an administrator does it."""
        machine = self.machine
        machine.run("rm -f /etc/postbus/buses.d/*.yaml")
        write(machine, "/etc/postbus/postbus.conf",
              CONF.format(host=HOST, port=self.broker.port))
        write(machine, "/etc/postbus/buses.d/uart.yaml", UART % "200ms")
        write(machine, "/etc/postbus/buses.d/usb.yaml", USB)
        write(machine, "/etc/postbus/password", PASSWORD)
        machine.run("chmod 600 /etc/postbus/password")
        write(machine, "/etc/systemd/system/postbus.service.d/vm.conf", DROP_IN)

    # --- systemd ---

    def starts(self):
        self.machine.run("systemctl daemon-reload\nsystemctl enable postbus\n"
                         "systemctl start postbus || { journalctl -u postbus; exit 1; }", 180)
        check(show(self.machine, "SubState") == "running", "it does not run")
        check(show(self.machine, "StatusText") != "", "it does not say how it is")
        self.await_more("climate")
        self.await_more("garden")
        check(self.status()["link"]["connected"], "no link")

    def owns_little(self):
        pid = show(self.machine, "MainPID")
        user = self.machine.run(f"ps -o user= -p {pid}").strip()
        check(user not in ("root", ""), f"it runs as {user}")
        modes = self.machine.run("stat -L -c '%a %U' /var/lib/postbus /var/lib/postbus/spool "
                                 "/var/lib/postbus/spool/*.seg").split("\n")
        check(modes[0].startswith("750 ") and modes[1].startswith("7"), modes)
        check(all(line.split()[0] in ("600", "640") for line in modes[2:] if line), modes)
        capabilities = self.machine.run(f"grep CapEff /proc/{pid}/status").split()[1]
        check(int(capabilities, 16) == 0, capabilities)

    def reloads(self):
        pid = show(self.machine, "MainPID")
        write(self.machine, "/etc/postbus/buses.d/uart.yaml", UART % "1s")
        self.machine.run("systemctl reload postbus", 60)
        check(show(self.machine, "MainPID") == pid, "it was started anew")
        self.await_more("climate")
        seqs = [payload["seq"] for _, payload in self.subscriber.messages
                if isinstance(payload, dict) and "seq" in payload]
        check(len(seqs) == len(set(seqs)), "a message came twice")
        write(self.machine, "/etc/postbus/buses.d/uart.yaml", "bus: uart\nprot: /dev/ttyS1\n")
        self.machine.run("systemctl reload postbus", 60, check=False)
        wait_for("the fault in the journal", lambda: "uart.yaml:2:1" in
                 self.machine.run("journalctl -u postbus -n 20 -o cat"), 60)
        self.await_more("climate")
        write(self.machine, "/etc/postbus/buses.d/uart.yaml", UART % "200ms")
        self.machine.run("systemctl reload postbus", 60)

    def is_watched(self):
        pid = show(self.machine, "MainPID")
        threads = self.machine.run(f"ls /proc/{pid}/task").split()
        check(len(threads) >= 2, f"its threads are {threads}")
        for thread in threads[:2]:
            pid = show(self.machine, "MainPID")
            number = self.machine.run(f"ls /proc/{pid}/task").split()[threads.index(thread)]
            self.machine.run(f"hold {number} 60 >/dev/null 2>&1 &")
            wait_for("the watchdog", lambda: show(self.machine, "MainPID") not in (pid, "0"), 90)
            self.await_more("climate")
        check("Watchdog timeout" in self.machine.run("journalctl -u postbus -o cat"),
              "the journal says nothing of it")

    def stops(self):
        self.machine.run("systemctl stop postbus", 60)
        check(show(self.machine, "Result") == "success", show(self.machine, "Result"))
        check(show(self.machine, "ExecMainStatus") == "0", "its exit status")
        wait_for("the farewell", lambda: self.subscriber.on("vm/status")[-1:] == ["offline"])
        self.machine.run("systemctl start postbus", 60)
        self.await_more("climate")

    def reads_well(self):
        lines = self.machine.run("journalctl -u postbus -o cat --no-pager").strip().split("\n")
        check(any("is open" in line for line in lines), lines)
        check(len(lines) < 600, f"{len(lines)} lines")
        check(not any("<6>" in line or "\x1b" in line for line in lines), "raw prefixes")
        fields = self.machine.run("journalctl -u postbus -o json --no-pager -n 200")
        check(any("POSTBUS_BUS" in json.loads(line) for line in fields.strip().split("\n")),
              "no line has the field of its bus")

    def starts_at_boot(self):
        """Before there is a network, which here comes late."""
        write(self.machine, "/etc/systemd/system/systemd-networkd.service.d/late.conf",
              "[Service]\nExecStartPre=/bin/sleep 20\nTimeoutStartSec=5min")
        self.climate.stop()
        self.garden.stop()
        self.machine.shut_down(180)
        self.machine.start(cache="unsafe")
        self.attach_devices()
        self.machine.run(":")
        wait_for("the service", lambda: show(self.machine, "SubState") == "running", 180)
        times = [int(self.machine.run(f"systemctl show --value -p {what} {unit}").strip() or 0)
                 for what, unit in (("ActiveEnterTimestampMonotonic", "postbus"),
                                    ("ActiveEnterTimestampMonotonic", "systemd-networkd"))]
        check(times[0] and (not times[1] or times[0] < times[1]), times)
        self.await_more("climate")

    # --- serial ports ---

    def names_its_ports(self):
        ports = json.loads(self.machine.run("postbus ports --json"))
        adapter = [port for port in ports if ADAPTER in json.dumps(port)]
        check(adapter, ports)
        usb = adapter[0]["usb"]
        check((usb["vid"], usb["pid"], usb["serial"]) == ("0403", "6001", ADAPTER), adapter)
        check(any("ttyS1" in json.dumps(port) for port in ports), ports)

    def counts_line_errors(self):
        for name in ("uart", "usb"):
            line = self.bus(name)["line"]
            check({"framing", "parity", "overrun", "breaks"} <= set(line), line)

    def is_quick(self):
        timer = self.machine.run("cat /sys/class/tty/ttyUSB*/device/latency_timer").strip()
        check(timer == "1", f"the adapter waits for {timer} ms")

    def takes_a_refusal(self):
        """Of RS-485 in the kernel, which neither driver has."""
        write(self.machine, "/etc/postbus/buses.d/uart.yaml",
              (UART % "200ms") + "rs485: {mode: kernel}\n")
        self.machine.run("systemctl restart postbus", 60)
        wait_for("its trouble", lambda: "RS-485" in self.bus("uart")["trouble"] or
                 "rs485" in self.bus("uart")["trouble"], 60)
        write(self.machine, "/etc/postbus/buses.d/uart.yaml",
              (UART % "200ms") + "rs485: {mode: auto}\n")
        self.machine.run("systemctl restart postbus", 60)
        self.await_more("climate")

    def passes_each_byte(self):
        """On both ports, at several speeds and parities."""
        self.climate.stop()
        self.garden.stop()
        write(self.machine, "/etc/postbus/devices/bytes.yaml", FRAME_MAP)
        for name, port, wire in (("uart", "/dev/ttyS1", "wire0"),
                                 ("usb", f"usb:0403:6001:{ADAPTER}", "wire1")):
            talker = Talker(self.machine.path(wire), FRAME, 0.5)
            self.machine.run("rm -f /etc/postbus/buses.d/*.yaml")
            for baud, form in SETTINGS:
                write(self.machine, "/etc/postbus/buses.d/talk.yaml",
                      TALK % (name, port, baud, form))
                self.machine.run("systemctl restart postbus", 60)
                before = len(self.readings("bytes"))
                wait_for(f"bytes on {port} at {baud} {form}",
                         lambda: len(self.readings("bytes")) > before + 2, 120)
                for reading in self.readings("bytes")[before + 1:]:
                    wrong = [i for i in range(256) if reading.get(f"b{i}", i) != i]
                    check(not wrong, f"{port} {baud} {form}: bytes {wrong}")
            talker.stop()
        self.configure()
        self.attach_devices()
        self.machine.run("rm -f /etc/postbus/buses.d/talk.yaml\nsystemctl restart postbus", 60)
        self.await_more("garden")

    def is_replugged(self, times):
        """In the midst of a reply, and under another name."""
        names, slowest = set(), 0.0
        # What the adapter was called is taken meanwhile, every other time.
        for i in range(times):
            self.await_more("garden", 2)
            self.machine.unplug()
            wait_for("the port to be gone", lambda: not self.bus("usb")["open"], 60)
            if i % 2 == 0:
                self.machine.qmp("chardev-add", id=f"other{i}",
                                 backend={"type": "null", "data": {}})
                self.machine.qmp("device_add", driver="usb-serial", id=f"other{i}",
                                 chardev=f"other{i}", serial="OTHER",
                                 **{"always-plugged": True})
                wait_for("the other one", lambda: "OTHER" in
                         self.machine.run("ls /dev/serial/by-id", check=False), 60)
            before = len(self.readings("garden"))
            climate = len(self.readings("climate"))
            self.machine.plug()
            wait_for("the adapter", lambda: len(self.readings("garden")) > before, 60)
            slowest = max(slowest, self.resumed_after())
            names.add(self.machine.run(f"basename $(readlink /dev/serial/by-id/*{ADAPTER}*)")
                      .strip())
            check(len(self.readings("climate")) > climate, "the other bus stood still")
            if i % 2 == 0:
                self.machine.qmp("device_del", id=f"other{i}")
                wait_for("the other one to go", lambda: "OTHER" not in
                         self.machine.run("ls /dev/serial/by-id", check=False), 60)
        print(f"adapter replugged {times} times, called {sorted(names)}; readings at most "
              f"{slowest:.2f} s after udev had it", flush=True)
        check(len(names) > 1, f"it was always called {names}")
        check(slowest < 1, f"readings only {slowest:.2f} s after udev had it")

    def resumed_after(self):
        """From the moment that udev was done with the adapter to the reading that came next."""
        name = self.machine.run(f"basename $(readlink /dev/serial/by-id/*{ADAPTER}*)").strip()
        since = self.machine.run(f"udevadm info --query=property --property=USEC_INITIALIZED "
                                 f"--value /dev/{name}").strip()
        # The guest's clock and its uptime, at one moment.
        now, uptime = self.machine.run("date +%s.%N; cut -d' ' -f1 /proc/uptime").split()
        plugged = float(now) - float(uptime) + int(since) / 1e6
        for reading in self.readings("garden"):
            when = seconds(reading["time"])
            if when >= plugged:
                return when - plugged
        raise AssertionError("no reading since")

    def keep_journal(self):
        """For whoever wants to know why."""
        with open(os.path.join(self.place, "journal"), "w", encoding="utf-8") as out:
            out.write(self.machine.run("journalctl --no-pager -n 300", check=False))

    def end(self):
        """All of it."""
        self.machine.cut_power()
        self.climate.stop()
        self.garden.stop()
        self.subscriber.stop()
        self.broker.stop()


def main():
    root, place, postbus = sys.argv[1:4]
    replugs = int(sys.argv[4]) if len(sys.argv) > 4 else 20
    gateway = Gateway(root, place, postbus)
    try:
        with case("it is configured", needed=True):
            gateway.configure()
        with case("it starts, is ready, and has its credentials", needed=True):
            gateway.starts()
        with case("it runs as a user of its own, who owns its spool"):
            gateway.owns_little()
        with case("ports are named, by the adapter's serial number too"):
            gateway.names_its_ports()
        with case("line errors are counted on both"):
            gateway.counts_line_errors()
        with case("the adapter's latency timer is 1 ms"):
            gateway.is_quick()
        with case("RS-485 that the driver refuses is said, and let be"):
            gateway.takes_a_refusal()
        with case("each byte passes, at several speeds and parities"):
            gateway.passes_each_byte()
        with case(f"the adapter is replugged {replugs} times"):
            gateway.is_replugged(replugs)
        with case("it is reloaded"):
            gateway.reloads()
        with case("it is watched, both threads of it"):
            gateway.is_watched()
        with case("it stops cleanly"):
            gateway.stops()
        with case("its journal reads well"):
            gateway.reads_well()
        with case("it starts at boot, before there is a network"):
            gateway.starts_at_boot()
    finally:
        gateway.keep_journal()
        gateway.end()
    end()


if __name__ == "__main__":
    main()
