# SPDX-License-Identifier: LGPL-2.1-or-later
"""up, run, shell, reboot, poweroff, crash, down."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import chdir

from . import build, places, root

USAGE = """\
tests/host up [--with PACKAGE,PACKAGE…] [--bind FOLDER:PATH]…
                                             boot the host with what is built now; installed anew if it is up already
                                             no:PACKAGE is held for installed, and is not; no:virtbus leaves virtbus out
                                             a folder from outside is seen, and written to, at a path within; by several hosts, if wanted
tests/host run CMD…                          run a command in it as root; its exit status is the command's
tests/host run --user NAME CMD…              …as a user, in her session (alice, bob, carol of virtadmins; dave, from afar)
tests/host run --user NAME --no-session CMD… …as a user without a session
tests/host shell [--user NAME]               look around
tests/host reboot [CMD…]                     as a host reboots, or by this command; returns when it is up again
tests/host poweroff [CMD…]                   as a host is powered off, or by this command, and then switched on; returns when it is up again
tests/host crash                             as when the power fails, and comes back; returns when it is up again
tests/host status                            is it up?
tests/host down                              pull its plug, and clear up
HOST=name picks one of several. VIRTBUS_BUILD: the build folder; VIRTBUS_CACHE: where the root is kept."""

# Failures of this script, told from those of the command that was run.
EXIT_FAILURE = 125


def main(arguments):
    commands = {"up": up, "run": run, "shell": shell, "reboot": reboot, "poweroff": poweroff, "crash": crash, "status": status, "down": down}
    if not arguments or arguments[0] not in commands:
        print(USAGE, file=sys.stdout if arguments[:1] in (["--help"], ["help"]) else sys.stderr)
        return 0 if arguments[:1] in (["--help"], ["help"]) else EXIT_FAILURE
    try:
        if os.geteuid() != 0:
            raise places.Failure("a container is booted by root only")
        return commands[arguments[0]](places.host_name(), arguments[1:])
    except places.Failure as failure:
        print(f"tests/host {arguments[0]}: {failure}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


# Talking to the keeper


def ask(name, question):
    """The keeper's answer, or None if there is no keeper."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as keeper:
        try:
            with chdir(places.state_folder(name)):
                keeper.connect("control")
            keeper.sendall(question.encode())
            answer = b"".join(iter(lambda: keeper.recv(4096), b""))
        except OSError:
            return None
    return json.loads(answer) if answer else None


def state(name):
    answer = ask(name, "status")
    if not answer:
        raise places.Failure(f"the host '{name}' is not up; tests/host up boots it")
    return answer


# The commands


def up(name, arguments):
    packages, binds = wishes_of(arguments)
    build.build()
    with places.locked(places.state_folder(name).with_suffix(".lock")):
        running = ask(name, "status")
        if running:
            return renew(name, running, packages)
        bury(name)
        # Before the keeper is there, so that an interrupt ends it.
        root.trees(packages)
        begin(name, packages, binds)
    return report_failed_units(name)


def wishes_of(arguments):
    packages, binds = set(), []
    while arguments:
        match arguments:
            case ["--with", words, *arguments]:
                packages |= {package for package in words.split(",") if package}
            case ["--bind", bind, *arguments] if bind.count(":") == 1:
                binds.append(bind)
            case _:
                raise places.Failure("takes only --with PACKAGE,PACKAGE… and --bind FOLDER:PATH")
    return sorted(packages), binds


def begin(name, packages, binds):
    """Starts a keeper, and returns when the host is up."""
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", "throwaway.keeper", name, json.dumps(packages), json.dumps(binds)]
    environment = {**os.environ, "PYTHONPATH": str(places.SOURCE / "tests" / "lib")}
    log = places.state_folder(name).with_suffix(".log")
    with open(log, "wb") as errors:
        keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment,
                                  start_new_session=True, text=True)
    try:
        said = keeper.stdout.readline()
        if said == "ready\n":
            return
        said += keeper.stdout.read()
        keeper.wait()
        raise places.Failure(said + log.read_text(encoding="utf-8", errors="replace"))
    except BaseException:
        keeper.stdin.close()
        keeper.wait()
        raise


def renew(name, running, packages):
    """What is built now, into a host that is up."""
    if not set(packages) <= set(running["with"]):
        raise places.Failure(f"the host '{name}' is up without these packages; tests/host down first")
    leader = running["leader"]
    if root.NO_VIRTBUS in running["with"]:
        return 0
    # Through its PID 1's own view: outside of the keeper's mount namespace the root is an empty folder.
    build.install(places.Path(f"/proc/{leader}/root"))
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"], ["systemctl", "daemon-reload"],
                    ["systemctl", "reload", "dbus.service"]):
        subprocess.run([*inside(leader), *command], check=True, stdout=subprocess.DEVNULL)
    return 0


def report_failed_units(name):
    command = [*inside(state(name)["leader"]), "systemctl", "--failed", "--plain", "--no-legend"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if failed:
        print(f"the host '{name}' is up, but these units failed:\n{failed}", file=sys.stderr, end="")
    return 0


def inside(leader):
    """The words before a command that let root run it in the host."""
    variables = ["HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8",
                 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    if "TERM" in os.environ:
        variables.append(f"TERM={os.environ['TERM']}")
    # The parent death signal ends the command with this process: nsenter does not pass on that it was killed.
    return ["nsenter", "--target", str(leader), "--all", "--", "env", "--ignore-environment", "--chdir=/root", *variables,
            "setpriv", "--pdeathsig", "KILL"]


def run(name, arguments):
    command = [*inside(state(name)["leader"]), *as_user(arguments)]
    os.execvp(command[0], command)


def as_user(arguments):
    match arguments:
        case ["--user", user, "--no-session", _, *_]:
            return ["/usr/lib/throwaway/as-user", "--no-session", user, *arguments[3:]]
        case ["--user", user, "--", _, *_]:
            return ["/usr/lib/throwaway/as-user", user, *arguments[3:]]
        case ["--user", user, _, *_]:
            return ["/usr/lib/throwaway/as-user", user, *arguments[2:]]
        case ["--", _, *_]:
            return arguments[1:]
        case [command, *_] if not command.startswith("-"):
            return arguments
    raise places.Failure("takes [--user NAME [--no-session]] CMD…")


def shell(name, arguments):
    # A terminal of the host's own: the one outside is no device in there.
    return run(name, [*arguments, "script", "--quiet", "--command", "bash -l", "/dev/null"])


def reboot(name, arguments):
    return go_down(name, state(name), arguments or ["systemctl", "reboot"])


def poweroff(name, arguments):
    before = state(name)
    ask(name, "switch-on")
    return go_down(name, before, arguments or ["systemctl", "poweroff"])


def go_down(name, before, command):
    """Runs a command that lets the host go down; returns when it is up again."""
    subprocess.run([*inside(before["leader"]), *command], check=True)
    if not ask(name, f"ready {before['boots'] + 1}"):
        raise places.Failure(f"the host '{name}' went down and did not come up again")
    return report_failed_units(name)


def crash(name, arguments):
    """What is in the kernel's cache is written all the same: only the processes are gone."""
    before = state(name)
    ask(name, "crash")
    if not ask(name, f"ready {before['boots'] + 1}"):
        raise places.Failure(f"the host '{name}' did not come up again")
    return report_failed_units(name)


def status(name, arguments):
    answer = ask(name, "status")
    words = "not up" if not answer else f"up, {'ready' if answer['ready'] else 'booting'}, PID 1 is {answer['leader']} here"
    print(f"{name}: {words}")
    return 0 if answer else 1


def down(name, arguments):
    with places.locked(places.state_folder(name).with_suffix(".lock")):
        ask(name, "down")
        bury(name)
    return 0


def bury(name):
    """Clears what a keeper left that was killed itself: its processes die with it, by the kernel's hand, but not at once."""
    folder = places.state_folder(name)
    if not folder.exists():
        return
    try:
        left = json.loads((folder / "left").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        left = {"processes": [], "cgroup": None}
    for pid, started in left["processes"]:
        end(pid, started)
    if left["cgroup"] and os.path.isdir(left["cgroup"]):
        places.remove_cgroup(left["cgroup"])
    places.remove_leftovers(name)


def end(pid, started):
    """Ends this very process, not one that has its number now."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if places.start_time(pid) == started:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            wait_for_end(process)
    finally:
        os.close(process)


def wait_for_end(process):
    if not select.select([process], [], [], 10)[0]:
        raise places.Failure("a process of an earlier host does not end")
