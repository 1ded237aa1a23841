"""What Linux tells of a process, and the machine it runs on. CPU in seconds, memory in KiB."""
import os
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()   # the name before it may hold spaces


def _tree(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry))
            except (OSError, IndexError):
                pass                                # it ended while we looked
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def usage(root):
    """CPU, RSS, peak RSS and threads of a process and its children."""
    u = dict(cpu=0.0, rss=0, peak=0, threads=0)
    for pid in _tree(root):
        try:
            u["cpu"] += sum(int(x) for x in _stat(pid)[11:15]) / TICK   # user, system, and those of children that ended
            with open(f"/proc/{pid}/status") as f:
                status = dict(line.split(":", 1) for line in f if ":" in line)
            u["rss"] += int(status.get("VmRSS", "0 kB").split()[0])
            u["peak"] += int(status.get("VmHWM", "0 kB").split()[0])
            u["threads"] += int(status.get("Threads", "0"))
        except OSError:
            pass
    return u


def machine_cpu():
    """CPU seconds used on the whole machine since it started: all but idle and waiting for the disk."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return (sum(v) - v[3] - v[4]) / TICK


def await_quiet(limit):
    """Waits at most limit seconds for a moment in which others use under a tenth of the machine."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        before = machine_cpu()
        time.sleep(2)
        if (machine_cpu() - before) / 2 < os.cpu_count() * 0.1:
            return


def filesystem(path):
    """The type of the file system that holds path, as /proc/mounts names it."""
    path = os.path.realpath(path)
    best, kind = "", "?"
    with open("/proc/mounts") as f:
        for line in f:
            _, mount, this = line.split()[:3]
            if len(mount) >= len(best) and (path + "/").startswith(mount.rstrip("/") + "/"):
                best, kind = mount, this
    return kind


def _first_line(*argv):
    try:
        r = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        return ((r.stdout or r.stderr).splitlines() or ["?"])[0].strip()
    except OSError:
        return "?"


def machine(data):
    with open("/proc/meminfo") as f:
        mib = int(f.readline().split()[1]) // 1024
    return dict(cores=os.cpu_count(), memory_mib=mib, kernel=os.uname().release, filesystem=filesystem(data),
                java=_first_line("java", "-version"), go=_first_line("go", "version"),
                when=time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()))
