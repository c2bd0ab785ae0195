# SPDX-License-Identifier: Apache-2.0
"""A virtual machine that a test boots, talks to, unplugs things of and pulls the plug of.

The guest has two serial ports whose other ends are sockets of the test: a 16550 (ttyS1) and
a USB adapter, which ftdi_sio knows. A shell in it (guest/agent) does what it is told over a
port of its own, so nothing of that goes through what is tested. The network is QEMU's own,
in which the host's loopback is 10.0.2.2.
"""
import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time

HOST = "10.0.2.2"
ADAPTER = "POSTBUS1"  # serial number of the USB adapter


class Gone(Exception):
    """What was waited for did not come in time."""


def wait_for(what, holds, seconds=60.0):
    """Looks again and again, and returns what `holds` says once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Gone(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def connect(path, seconds=60.0):
    """A connection to a socket that QEMU is about to make."""

    def attempt():
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            return None

    return wait_for(path, attempt, seconds)


def die_with_parent():
    """In a child: it does not outlive the test."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# What differs between machines: the emulator, its board, the console and the UART beside it.
BOARDS = {
    "amd64": ("qemu-system-x86_64", "pc,accel=tcg", "qemu64", "ttyS0"),
    "arm64": ("qemu-system-aarch64", "virt,accel=tcg", "cortex-a72", "ttyAMA0"),
    "armhf": ("qemu-system-arm", "virt,accel=tcg,highmem=off", "cortex-a15", "ttyAMA0"),
}


class Machine:
    """One machine, with its disk, which outlives its boots. `root` is a directory with vmlinuz,
    initrd.img and disk, as root.sh makes it. Those that are not of a PC have no 16550."""

    def __init__(self, place, root, board="amd64"):
        self.place = place
        self.root = root
        self.board = board
        self.disk = os.path.join(place, "disk")
        self.process = None
        self.agent = self.control = None
        self.rest = b""
        self.number = 0
        os.makedirs(place, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", os.path.join(root, "disk"), self.disk],
                       check=True)

    def path(self, name):
        """Where that socket or file of the machine is."""
        return os.path.join(self.place, name)

    def _device(self, name):
        return ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]

    def start(self, init=None, rtc="utc", cache="none"):
        """Boots, and returns at once. `init` stands in for systemd."""
        emulator, board, cpu, console = BOARDS[self.board]
        for name in ("agent", "qmp", "wire0", "wire1"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))
        append = f"console={console} panic=-1 loglevel=4"
        if init:
            append += f" init={init}"
        command = [
            emulator, "-nodefaults", "-no-user-config", "-no-reboot",
            "-machine", board, "-cpu", cpu, "-smp", "1", "-m", "512M", "-display", "none",
            "-rtc", f"base={rtc}",
            "-kernel", os.path.join(self.root, "vmlinuz"),
            "-initrd", os.path.join(self.root, "initrd.img"), "-append", append,
            "-drive", f"id=disk,file={self.disk},format=raw,if=none,cache={cache}",
            "-device", "virtio-blk-pci,drive=disk",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
            "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
            "-chardev", f"file,id=console,path={self.path('console')}",
            "-serial", "chardev:console", *self._uart(), *self._device("wire1"), "-device", "qemu-xhci,id=usb",
            "-device", self.adapter(),
            *self._device("agent"), "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=agent,name=postbus.agent",
        ]
        with open(self.path("qemu"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_parent)

    def _uart(self):
        if self.board != "amd64":
            return []
        return [*self._device("wire0"), "-serial", "chardev:wire0"]

    @staticmethod
    def adapter():
        """The USB adapter as QEMU is told of it."""
        return f"usb-serial,id=adapter,chardev=wire1,serial={ADAPTER},always-plugged=on"

    # --- what is told to the guest ---

    def run(self, script, seconds=120.0, check=True):
        """Runs a shell script in the guest: its output. It must end by itself."""
        if not self.agent:
            self.agent = connect(self.path("agent"))
            self.rest = b""
            wait_for("the guest", self._answers, 300)
        self._send(script)
        status, output = self._receive(seconds)
        if check and status:
            raise Gone(f"in the guest: {script}\nexit status {status}: {output}")
        return output

    def _send(self, script):
        """Each script has a number, and so has its answer."""
        self.number += 1
        self.agent.settimeout(60)
        line = f"{self.number} {base64.b64encode(script.encode()).decode()}\n"
        self.agent.sendall(line.encode())

    def _line(self, end):
        while b"\n" not in self.rest:
            self.agent.settimeout(max(end - time.monotonic(), 0.01))
            more = self.agent.recv(65536)
            if not more:
                raise Gone("the guest has ended")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def _receive(self, seconds):
        end = time.monotonic() + seconds
        while True:
            number, status, output = self._line(end).split(" ")
            if number == str(self.number):
                return int(status), base64.b64decode(output).decode(errors="replace")

    def _answers(self):
        """Whether the guest listens: until then what is sent may be kept by nobody."""
        if self.process.poll() is not None:
            raise Gone(f"QEMU has ended: see {self.path('qemu')}")
        self._send(":")
        try:
            return self._receive(1.0)[0] == 0
        except TimeoutError:
            return False

    # --- what is done to it ---

    def qmp(self, command, **arguments):
        """A command of QEMU's monitor: what it returns."""
        if not self.control:
            self.control = connect(self.path("qmp")).makefile("rw")
            self.control.readline()
            self._ask({"execute": "qmp_capabilities"})
        return self._ask({"execute": command, "arguments": arguments})

    def _ask(self, request):
        self.control.write(json.dumps(request) + "\n")
        self.control.flush()
        while True:
            answer = json.loads(self.control.readline())
            if "error" in answer:
                raise Gone(f"{request}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def unplug(self):
        """The USB adapter is pulled."""
        self.qmp("device_del", id="adapter")

    def plug(self):
        """And put back."""
        self.qmp("device_add", driver="usb-serial", id="adapter", chardev="wire1",
                 serial=ADAPTER)

    def cut_power(self):
        """As if the plug were pulled: what the guest had not synced is gone."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        for link in (self.agent, self.control):
            if link:
                link.close()
        self.process = self.agent = self.control = None

    def shut_down(self, seconds=120.0):
        """As an administrator would."""
        self._send("systemctl poweroff || poweroff -f")
        self.process.wait(seconds)
        self.cut_power()

    def remove(self):
        """Ends it and gives its disk up."""
        self.cut_power()
        shutil.rmtree(self.place, ignore_errors=True)
