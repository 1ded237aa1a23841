package interop;

import jakarta.jms.JMSException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.BrokerInfo;
import org.apache.activemq.transport.DefaultTransportListener;

/**
 * What happened when, for the test that started this program, in the file that INTEROP_HISTORY names; nothing without it. Times are microseconds
 * since 1970. Lines: {@code ack PRODUCER BEGUN ANSWERED BROKER-ID CONNECTED} and {@code lost|unflagged KEY WHEN}.
 */
final class History {
  private static final String FILE = System.getenv("INTEROP_HISTORY");
  private static final BufferedWriter OUT = open();
  private static long flushed;

  /** The broker process with which a connection is now, as far as it has said so. */
  static final class Link extends DefaultTransportListener {
    private volatile String now = "? 0";

    Link(ActiveMQConnection connection) throws JMSException {
      connection.addTransportListener(this);
      if (connection.getBrokerInfo() != null && now.startsWith("?")) { // it has told before
        onCommand(connection.getBrokerInfo());
      }
    }

    @Override
    public void onCommand(Object command) {
      if (command instanceof BrokerInfo) {
        now = ((BrokerInfo) command).getBrokerId() + " " + History.now();
      }
    }
  }

  static long now() {
    return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
  }

  /** A send, or a commit, was answered. */
  static void ack(String producer, long begun, Link link) {
    if (OUT != null) {
      say("ack " + producer + " " + begun + " " + now() + " " + link.now);
    }
  }

  static synchronized void say(String line) {
    if (OUT == null) {
      return;
    }
    try {
      OUT.write(line + "\n");
      long now = System.nanoTime();
      if (now - flushed > 500_000_000L) {
        OUT.flush();
        flushed = now;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static synchronized void flush() {
    try {
      if (OUT != null) {
        OUT.flush();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static BufferedWriter open() {
    try {
      return FILE == null ? null : Files.newBufferedWriter(Path.of(FILE), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
