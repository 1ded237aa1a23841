package loadgen;

import jakarta.jms.Connection;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Session;
import jakarta.jms.XAConnection;
import java.util.HashMap;
import java.util.Map;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnectionFactory;

/** What the command line asks for; README.md lists the options. */
final class Settings {
    final Map<String, String> given = new HashMap<>();
    final String mode;
    final String url;
    final String destination;
    final boolean topic;
    final boolean persistent;
    final boolean async;
    final boolean alwaysSync;
    final boolean selectors;
    final int equalities; // consumers "x = 0", "x = 1" and so on, instead of the others
    final boolean transactedAcks;
    final boolean transactedSends;
    final boolean xa;
    final int batch;
    final int sizeBytes;
    final int producers;
    final int consumers;
    final int connections;
    final int queues;
    final int restarts;
    final int rounds;
    final int stored;
    final int reference;
    final int perProducer;
    final int warmPerProducer;
    final double seconds;
    final double warmSeconds;

    Settings(String[] args) {
        for (String arg : args) {
            String[] pair = arg.replaceFirst("^--", "").split("=", 2);
            given.put(pair[0], pair.length == 2 ? pair[1] : "true");
        }
        mode = text("mode", "run");
        url = text("url", "tcp://127.0.0.1:61616");
        destination = text("destination", "bench.queue");
        topic = flag("topic");
        persistent = !flag("non-persistent");
        async = flag("async");
        alwaysSync = flag("always-sync");
        selectors = flag("selectors");
        equalities = number("equalities", 0);
        transactedAcks = flag("transacted");
        transactedSends = transactedAcks || mode.equals("backlog");
        xa = flag("xa");
        batch = number("batch", 100);
        sizeBytes = number("size", 1024);
        producers = number("producers", 1);
        consumers = number("consumers", 1);
        connections = number("connections", 1000);
        queues = number("queues", 10_000);
        restarts = number("restarts", 2);
        rounds = number("rounds", 5);
        stored = number("stored", 0);
        reference = number("reference", 0);
        perProducer = number("count", 400_000) / producers;
        warmPerProducer = Math.max(1, number("warm-count", 400_000) / producers);
        seconds = Double.parseDouble(text("seconds", "7"));
        warmSeconds = Double.parseDouble(text("warm-seconds", "6"));
    }

    private String text(String key, String ifAbsent) {
        return given.getOrDefault(key, ifAbsent);
    }

    private int number(String key, int ifAbsent) {
        return Integer.parseInt(text(key, Integer.toString(ifAbsent)));
    }

    private boolean flag(String key) {
        return text(key, "false").equals("true");
    }

    Connection connect() throws JMSException {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(url);
        factory.setUseAsyncSend(async);
        factory.setAlwaysSyncSend(alwaysSync);
        factory.setWatchTopicAdvisories(false);
        Connection connection = factory.createConnection();
        connection.start();
        return connection;
    }

    /** A connection whose sessions take part in distributed transactions. */
    XAConnection connectXA() throws JMSException {
        ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory(url);
        factory.setWatchTopicAdvisories(false);
        XAConnection connection = factory.createXAConnection();
        connection.start();
        return connection;
    }

    Session session(Connection connection, boolean transacted) throws JMSException {
        return connection.createSession(transacted, transacted ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE);
    }

    Destination destination(Session session) throws JMSException {
        return topic ? session.createTopic(destination) : session.createQueue(destination);
    }
}
