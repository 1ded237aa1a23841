"""The brokers that are compared: how each is set up, started, waited for and stopped. All on loopback."""
import os
import shlex
import signal
import socket
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, ".build")
PEERS_HOME = os.environ.get("PEERS_HOME", os.path.expanduser("~/.cache/peers"))
HOST = "127.0.0.1"


def go_build(package, name):
    """Builds a program of this tree; answers its path."""
    path = os.path.join(BUILD, name)
    subprocess.run(["go", "build", "-trimpath", "-o", path, package], cwd=os.path.dirname(HERE), check=True, timeout=600)
    return path


# ---- first contact, without a client library
def _openwire_hello():
    """A WireFormatInfo, OpenWire version 12."""
    def text(s):
        return struct.pack(">H", len(s)) + s.encode()
    properties = [("TcpNoDelayEnabled", b"\x01\x01"), ("SizePrefixDisabled", b"\x01\x00"),
                  ("CacheSize", b"\x05" + struct.pack(">i", 1024)), ("StackTraceEnabled", b"\x01\x01"),
                  ("CacheEnabled", b"\x01\x01"), ("TightEncodingEnabled", b"\x01\x01"),
                  ("MaxInactivityDuration", b"\x06" + struct.pack(">q", 30000)),
                  ("MaxInactivityDurationInitalDelay", b"\x06" + struct.pack(">q", 10000)),
                  ("MaxFrameSize", b"\x06" + struct.pack(">q", 100 << 20))]
    table = struct.pack(">i", len(properties)) + b"".join(text(k) + v for k, v in properties)
    body = b"\x01ActiveMQ" + struct.pack(">i", 12) + b"\x01" + struct.pack(">i", len(table)) + table
    return struct.pack(">i", len(body)) + body


HELLO = {"openwire": (_openwire_hello(), b"ActiveMQ"), "nats": (b"", b"INFO"),
         "mqtt": (b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02ab", b"\x20\x02")}


def _answers(port, protocol):
    hello, want = HELLO[protocol]
    try:
        with socket.create_connection((HOST, port), timeout=0.5) as s:
            s.settimeout(1)
            s.sendall(hello)
            got = b""
            while want not in got:
                part = s.recv(4096)
                if not part:
                    return False
                got += part
            return True
    except OSError:
        return False


def end(process, sig=signal.SIGTERM):
    """Ends a process that was started with a session of its own, and all in that."""
    for s, patience in ((sig, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, s)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


class Broker:
    protocol = "openwire"
    jms = True          # takes part in all scenarios; the others only in H and I

    def __init__(self, name, port):
        self.name, self.port = name, port
        self.process = None
        self.version = "?"

    @property
    def url(self):
        return f"tcp://{HOST}:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def prepare(self):
        """Finds the program, once a run, and sets version."""

    def setup(self, data):
        """Prepares the files below data if they are not there; answers the command and what it adds to the environment."""
        raise NotImplementedError

    def start(self, data, wait=True, environment=()):
        argv, env = self.setup(data)
        with open(os.path.join(data, "output.log"), "ab") as log:
            self.started = time.monotonic_ns()
            self.process = subprocess.Popen(argv, env={**os.environ, **env, **dict(environment)}, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True, cwd=data)
        self.log = os.path.join(data, "output.log")
        if wait:
            self.wait()

    def wait(self, limit=90):
        """Waits until the broker answers a client; answers the milliseconds since its exec."""
        while not _answers(self.port, self.protocol):
            if self.process.poll() is not None:
                with open(self.log, errors="replace") as f:
                    raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {f.read()[-500:]}")
            if time.monotonic_ns() - self.started > limit * 1e9:
                raise RuntimeError(f"{self.name} does not answer on port {self.port}")
            time.sleep(0.003)
        return (time.monotonic_ns() - self.started) / 1e6

    def stop(self, sig=signal.SIGTERM):
        p, self.process = self.process, None
        if p is not None:
            end(p, sig)


class Godwit(Broker):
    """This project's, built from this tree."""
    command = "{godwit} serve --data {data} --listen openwire=tcp://127.0.0.1:{port} --http 127.0.0.1:{http}"
    extra = ""          # what --godwit-args adds

    def prepare(self):
        self.exe = go_build("./cmd/godwit", "godwit")
        r = subprocess.run([self.exe, "version"], capture_output=True, text=True, timeout=20)
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True).stdout
        self.version = " ".join((r.stdout or "godwit").split()[:2] + [f"({commit.strip()})"])

    def setup(self, data):
        command = self.command.format(godwit=self.exe, data=f"{data}/store", port=self.port, http=self.port + 5)
        return shlex.split(command) + shlex.split(self.extra), {}


ACTIVEMQ_XML = """<beans xmlns="http://www.springframework.org/schema/beans"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
 http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
 <broker xmlns="http://activemq.apache.org/schema/core" brokerName="localhost" dataDirectory="{data}">
  <managementContext><managementContext createConnector="false"/></managementContext>
  <persistenceAdapter>
   <kahaDB directory="{data}/kahadb" enableJournalDiskSyncs="true" journalDiskSyncStrategy="always"/>
  </persistenceAdapter>
  <systemUsage><systemUsage>
   <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
   <storeUsage><storeUsage limit="20 gb"/></storeUsage>
   <tempUsage><tempUsage limit="10 gb"/></tempUsage>
  </systemUsage></systemUsage>
  <transportConnectors>
   <transportConnector name="openwire" uri="tcp://127.0.0.1:{port}?maximumConnections=20000&amp;wireFormat.maxFrameSize=104857600"/>
  </transportConnectors>
 </broker>
</beans>
"""
ACTIVEMQ_LOG = """status=error
appender.f.type=File
appender.f.name=F
appender.f.fileName={data}/broker.log
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %c{{1}} %m%n
rootLogger.level=info
rootLogger.appenderRef.f.ref=F
"""


class ActiveMQ(Broker):
    """ActiveMQ Classic 6 from its jars: the shipped settings and JVM options, one connector, no web console."""

    def prepare(self):
        self.home = os.path.join(PEERS_HOME, "activemq-6.3.1")
        self.version = "6.3.1 (jars, no web console)"

    def setup(self, data):
        for name, text in (("activemq.xml", ACTIVEMQ_XML), ("log4j2.properties", ACTIVEMQ_LOG)):
            with open(os.path.join(data, name), "w") as f:
                f.write(text.format(data=data, port=self.port))
        return ["java", "-Xms64M", "-Xmx1G", f"-Dlog4j2.configurationFile={data}/log4j2.properties",
                f"-Dactivemq.home={self.home}", f"-Dactivemq.base={data}", f"-Dactivemq.conf={data}",
                f"-Dactivemq.data={data}", "-cp", f"{self.home}/lib/*",
                "org.apache.activemq.console.Main", "start", f"xbean:file:{data}/activemq.xml"], {}


class Artemis(Broker):
    """An instance as `artemis create` makes it, with the core/OpenWire acceptor alone and no web console."""

    def prepare(self):
        self.home = os.path.join(PEERS_HOME, "apache-artemis-2.40.0")
        self.version = "2.40.0"

    def setup(self, data):
        instance = os.path.join(data, "instance")
        if not os.path.exists(instance):
            r = subprocess.run(
                [f"{self.home}/bin/artemis", "create", instance, "--user", "admin", "--password", "admin",
                 "--allow-anonymous", "--no-web", "--host", HOST, "--no-amqp-acceptor", "--no-hornetq-acceptor",
                 "--no-mqtt-acceptor", "--no-stomp-acceptor", "--default-port", str(self.port), "--silent"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            if r.returncode:
                raise RuntimeError("artemis create: " + r.stdout[-500:])
            with open(f"{instance}/etc/broker.xml") as f:
                xml = f.read()
            if "<journal-datasync>true</journal-datasync>" not in xml:
                raise RuntimeError("artemis create made an instance that does not sync its journal")
            journal = "ASYNCIO" if "<journal-type>ASYNCIO" in xml else "NIO"
            self.version = f"2.40.0 ({journal} journal, no web console)"
        return [f"{instance}/bin/artemis", "run"], {}


class Nats(Broker):
    """JetStream on."""
    protocol, jms = "nats", False

    def prepare(self):
        self.exe = os.path.join(PEERS_HOME, "bin", "nats-server")
        self.version = subprocess.run([self.exe, "--version"], capture_output=True, text=True, timeout=20).stdout.split()[-1]

    def setup(self, data):
        return [self.exe, "-js", "-sd", data, "-a", HOST, "-p", str(self.port)], {}


class Mosquitto(Broker):
    """Persistence on."""
    protocol, jms = "mqtt", False

    def prepare(self):
        r = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, timeout=20)
        self.version = r.stdout.split()[2]

    def setup(self, data):
        with open(f"{data}/mosquitto.conf", "w") as f:
            f.write(f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\npersistence_location {data}/\n"
                    + ("user root\n" if os.geteuid() == 0 else ""))
        return ["mosquitto", "-c", f"{data}/mosquitto.conf"], {}


KNOWN = {"activemq": (ActiveMQ, 26100), "artemis": (Artemis, 26200), "godwit": (Godwit, 26300),
         "nats": (Nats, 26400), "mosquitto": (Mosquitto, 26500)}


def make(name):
    kind, port = KNOWN[name]
    broker = kind(name, port)
    if _answers(port, kind.protocol):
        raise RuntimeError(f"something answers on port {port} already; {name} needs it")
    broker.prepare()
    return broker
