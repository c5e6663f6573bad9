# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process that stays with one running host: boots it, knows its PID 1, and clears up behind it.

It runs in a mount namespace of its own, so that nothing it mounts is ever seen outside or outlives it. `up` holds a pipe to it
until the host is ready: should `up` be interrupted, the pipe closes, and the keeper gives up. Later the other commands talk to it
over the socket "control" in the host's folder, one line each:

        status      {"ready": true, "leader": PID, "boots": 1, "with": []}
        ready N     the same, as soon as the N-th boot is finished
        switch-on   the next end of the host is a power-off, after which it is booted again: closes at once
        crash       the power goes, and comes back: closes when the processes are gone
        down        closes when everything is gone

If it is killed, nspawn and with it the container are killed by the kernel; command.py clears up what is left in the folders.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import build, places, root

PR_SET_PDEATHSIG = 1
# nspawn's exit status when the host within has asked to be booted again, and when it has powered itself off.
REBOOTS, IS_OFF = 133, 0
OPEN_FILES = "1024:524288"  # what systemd gives a host's PID 1


class Keeper:
    def __init__(self, name, packages, binds):
        self.name, self.packages, self.binds = name, packages, binds
        self.folder = places.state_folder(name)
        self.leader = self.nspawn = None
        self.boots, self.ready = 0, False
        self.comes_back_from = REBOOTS  # the end after which it is booted again
        self.crashing = []  # connections of those who wait for the power to go
        self.waiting = []  # (connection, boot) of those who wait for a boot to finish
        self.leaving = []  # connections of those who wait for the end
        self.selector = selectors.DefaultSelector()

    # The root

    def mount(self):
        for folder in ("upper", "work", "root"):
            (self.folder / folder).mkdir()
        lower = [str(tree) for tree in root.trees(self.packages)]
        if self.overlay(lower, self.folder) != 0:
            # This folder cannot be the upper side of an overlay, being one itself, say: use memory.
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.folder / "work"], check=True)
            for folder in ("upper", "work"):
                (self.folder / "work" / folder).mkdir()
            if self.overlay(lower, self.folder / "work") != 0:
                raise places.Failure("mounting the host's root failed: does this kernel have overlayfs?")

    def overlay(self, lower, writable):
        options = f"lowerdir={':'.join(lower)},upperdir={writable}/upper,workdir={writable}/work"
        command = ["mount", "-t", "overlay", "-o", options, "overlay", self.folder / "root"]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode

    # The container

    def boot(self):
        self.make_cgroup()
        # In the abstract namespace: a folder's path may be longer than a socket's may.
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind("")
        self.watch(self.notify, self.on_notify)
        self.start_nspawn()

    def start_nspawn(self):
        environment = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                       "NOTIFY_SOCKET": self.notify.getsockname().decode().replace("\0", "@", 1)}
        with open(self.folder / "console.log", "ab") as console:
            self.nspawn = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment,
                                           preexec_fn=self.before_exec)
        self.remember()
        self.watch(os.pidfd_open(self.nspawn.pid), self.on_exit)

    def command(self):
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.folder}/root",
                   f"--machine={places.machine_name(self.name)}", f"--hostname={self.name}", "--register=no", "--keep-unit",
                   "--private-network", "--capability=all", f"--rlimit=RLIMIT_NOFILE={OPEN_FILES}", "--resolv-conf=off",
                   "--timezone=off", "--link-journal=no", "--notify-ready=yes", "--bind=/dev/net/tun",
                   # This root is below the source, too: "norbind", or all its mounts would be there twice, and each unit's sandbox be made of twice as many.
                   f"--bind-ro={places.SOURCE}:{places.SOURCE_IN_HOST}:norbind",
                   # With a console that can be written to, nspawn's PID 1 hangs as soon as nobody reads.
                   "--console=read-only"]
        command += [f"--bind={bind}" for bind in self.binds]
        guest = places.SOURCE / "build" / "guest"
        if guest.is_dir():
            command.append(f"--bind-ro={guest}:{places.GUEST_IN_HOST}")
        return command

    def make_cgroup(self):
        """A cgroup of the host's own: nspawn's "payload" would else be shared by all the hosts of one user."""
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        mount = next((words[1] for words in mounts if words[2] == "cgroup2"), None)
        if not mount:
            raise places.Failure("no cgroup2 file system is mounted, not even beside the first version's")
        own = next(line[3:] for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines() if line.startswith("0::"))
        self.cgroup = Path(mount + own) / f"throwaway-{places.machine_name(self.name)}-{os.getpid()}"
        self.cgroup.mkdir()

    def before_exec(self):
        (self.cgroup / "cgroup.procs").write_text("0", encoding="ascii")
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def remember(self):
        """For the one who finds the folder after this process was killed."""
        pids = [[pid, places.start_time(pid)] for pid in (os.getpid(), self.nspawn.pid, self.leader) if pid]
        new = self.folder / "left.new"
        new.write_text(json.dumps({"processes": pids, "cgroup": str(self.cgroup)}), encoding="utf-8")
        new.rename(self.folder / "left")

    # What happens

    def watch(self, what, call):
        self.selector.register(what, selectors.EVENT_READ, call)

    def run(self):
        # Bound by a short name, for the same reason as above.
        os.chdir(self.folder)
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        control.bind("control")
        control.listen()
        self.watch(control, self.on_connection)
        self.watch(sys.stdin.buffer, self.on_up_left)
        while self.nspawn.returncode is None:  # on_exit() puts another in its place at a reboot
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def on_notify(self, notify):
        for line in notify.recv(8192).decode(errors="replace").splitlines():
            if line.startswith("X_NSPAWN_LEADER_PID="):
                self.leader, self.ready = int(line.partition("=")[2]), False
                self.boots += 1
                self.remember()
            elif line == "READY=1" and not self.ready:  # which comes again after each reload of its PID 1
                self.on_ready()

    def on_ready(self):
        self.ready = True
        if self.boots == 1:
            print("ready", flush=True)
        for connection, _ in [pair for pair in self.waiting if pair[1] <= self.boots]:
            self.tell(connection)
        self.waiting = [pair for pair in self.waiting if pair[1] > self.boots]

    def on_exit(self, process):
        self.selector.unregister(process)
        os.close(process)
        self.leader, self.ready = None, False
        if self.nspawn.wait() == self.comes_back_from or self.crashing:
            self.start_nspawn()
        self.comes_back_from = REBOOTS
        while self.crashing:
            self.crashing.pop().close()

    def on_up_left(self, pipe):
        self.selector.unregister(pipe)
        if not self.ready:
            self.pull_the_plug()

    def on_connection(self, control):
        connection, _ = control.accept()
        self.watch(connection, self.on_command)

    def on_command(self, connection):
        words = connection.recv(100).decode(errors="replace").split()
        self.selector.unregister(connection)
        match words:
            case ["status"]:
                self.tell(connection)
            case ["ready", boot] if self.ready and self.boots >= int(boot):
                self.tell(connection)
            case ["ready", boot]:
                self.waiting.append((connection, int(boot)))
            case ["switch-on"]:
                self.comes_back_from = IS_OFF
                connection.close()
            case ["crash"]:
                self.crashing.append(connection)
                self.pull_the_plug()
            case ["down"]:
                self.leaving.append(connection)
                self.pull_the_plug()
            case _:
                connection.close()

    def tell(self, connection):
        answer = {"ready": self.ready, "leader": self.leader, "boots": self.boots, "with": self.packages}
        try:
            connection.sendall(json.dumps(answer).encode())
        except OSError:
            pass  # The one who asked has left.
        connection.close()

    def pull_the_plug(self):
        # PID 1 takes all it started with it.
        if self.nspawn and self.nspawn.poll() is None:
            os.kill(self.leader or self.nspawn.pid, signal.SIGKILL)

    # The end

    def clear_up(self):
        if self.nspawn:
            self.pull_the_plug()
            self.nspawn.wait()
            places.remove_cgroup(self.cgroup)
        os.chdir("/")
        subprocess.run(["umount", "--lazy", self.folder / "root"], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["umount", "--lazy", self.folder / "work"], stderr=subprocess.DEVNULL, check=False)
        places.remove_leftovers(self.name)


def main(name, packages, binds):
    keeper = Keeper(name, packages, binds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        keeper.folder.mkdir(parents=True)
        keeper.mount()
        if root.NO_VIRTBUS not in packages:
            build.install(keeper.folder / "root")
        keeper.boot()
        keeper.run()
        if not keeper.boots or (keeper.boots == 1 and not keeper.ready):
            print((keeper.folder / "console.log").read_text(encoding="utf-8", errors="replace")[-4000:])
            print("the host did not come up", flush=True)
    except places.Failure as failure:
        print(failure, flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.clear_up()


if __name__ == "__main__":
    main(sys.argv[1], *map(json.loads, sys.argv[2:]))
