#!/usr/bin/env bash
# Installs the peers that are named and builds the load client. What is there already is kept.
#   install.sh activemq artemis [nats] [mosquitto]
# Needs Java 17 and Maven; nats needs Go; mosquitto, and libaio for Artemis' faster journal, come from Debian's apt when this is root.
#   PEERS_HOME   where the peers go (default ~/.cache/peers)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${PEERS_HOME:-$HOME/.cache/peers}
AMQ=6.3.1          # from its jars: the binary archive of 6.x is not in Maven's central repository
SPRING=7.0.8       # what ActiveMQ $AMQ is built with
LOG4J=2.26.1
ARTEMIS=2.40.0     # the newest binary archive in Maven's central repository
NATS=v2.15.2
mkdir -p "$home"
mvnq() { mvn -q -B -Dstyle.color=never "$@" </dev/null; }
apt_get() { # package
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

install_activemq() {
  [ -d "$home/activemq-$AMQ/lib" ] && return 0
  local tmp; tmp=$(mktemp -d)
  dep() { echo "<dependency><groupId>$1</groupId><artifactId>$2</artifactId><version>$3</version></dependency>"; }
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>peers</groupId><artifactId>activemq</artifactId><version>1</version><dependencies>'
    for a in broker kahadb-store stomp amqp mqtt spring console; do dep org.apache.activemq activemq-$a "$AMQ"; done
    dep org.springframework spring-context "$SPRING"
    dep org.apache.logging.log4j log4j-slf4j2-impl "$LOG4J"
    echo '</dependencies></project>'
  } > "$tmp/pom.xml"
  mvnq -f "$tmp/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$tmp/lib"
  mkdir -p "$home/activemq-$AMQ"
  mv "$tmp/lib" "$home/activemq-$AMQ/lib"
  rm -rf "$tmp"
}

install_artemis() {
  if [ ! -d "$home/apache-artemis-$ARTEMIS" ]; then
    mvnq dependency:copy -Dartifact="org.apache.activemq:apache-artemis:$ARTEMIS:tar.gz:bin" -DoutputDirectory="$home/download"
    mkdir -p "$home/unpacking"
    tar -xzf "$home/download/apache-artemis-$ARTEMIS-bin.tar.gz" -C "$home/unpacking"
    mv "$home/unpacking/apache-artemis-$ARTEMIS" "$home/"
    rm -rf "$home/unpacking" "$home/download"
  fi
  ldconfig -p | grep -q libaio.so.1 || apt_get libaio1 || echo "no libaio: Artemis uses its NIO journal" >&2
}

install_nats() {
  [ -x "$home/bin/nats-server" ] || GOBIN="$home/bin" go install "github.com/nats-io/nats-server/v2@$NATS"
}

install_mosquitto() {
  command -v mosquitto >/dev/null && return 0
  # The package starts a service of its own on the default port unless policy-rc.d forbids it.
  local guard=/usr/sbin/policy-rc.d made=0
  [ -e "$guard" ] || { printf '#!/bin/sh\nexit 101\n' > "$guard" && chmod +x "$guard" && made=1; }
  apt_get mosquitto || { [ "$made" = 0 ] || rm -f "$guard"; echo "mosquitto is not installed" >&2; return 1; }
  [ "$made" = 0 ] || rm -f "$guard"
}

for peer in "$@"; do
  case $peer in
    activemq|artemis|nats|mosquitto) install_$peer ;;
    *) echo "install.sh: unknown peer $peer; there are activemq, artemis, nats, mosquitto" >&2; exit 2 ;;
  esac
done

jar=$here/loadgen/target/loadgen.jar
if [ ! -f "$jar" ] || [ -n "$(find "$here/loadgen/pom.xml" "$here/loadgen/src" -newer "$jar" -print -quit)" ]; then
  (cd "$here/loadgen" && mvnq clean package)
fi
