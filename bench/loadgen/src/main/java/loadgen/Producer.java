package loadgen;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.XAConnection;
import jakarta.jms.XASession;

/** One connection, session and producer. Each message carries run, producer, sequence number and time. */
final class Producer {
    private static final int HEADER_BYTES = 4 + 4 + 8 + 8;

    final int id;
    final Connection connection;
    final Histogram latency = new Histogram();
    int sent;
    volatile long lastSend;
    private long longest; // nanoseconds between two answers
    private final Settings settings;
    private final Session session;
    private final Branch branch; // of a producer that works in distributed transactions, else null
    private final MessageProducer producer;
    private final byte[] body;

    Producer(Settings settings, int id) throws JMSException {
        this.settings = settings;
        this.id = id;
        body = new byte[Math.max(0, settings.sizeBytes - HEADER_BYTES)];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) (i * 31 + id);
        }
        if (settings.xa) {
            XAConnection xa = settings.connectXA();
            XASession xaSession = xa.createXASession();
            connection = xa;
            session = xaSession;
            branch = new Branch(xaSession.getXAResource(), id);
        } else {
            connection = settings.connect();
            session = settings.session(connection, settings.transactedSends);
            branch = null;
        }
        producer = session.createProducer(settings.destination(session));
        producer.setDeliveryMode(settings.persistent ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
    }

    private Message message(int run, long sequence) throws JMSException {
        BytesMessage m = session.createBytesMessage();
        m.writeInt(run);
        m.writeInt(id);
        m.writeLong(sequence);
        m.writeLong(System.nanoTime());
        m.writeBytes(body);
        if (settings.selectors) {
            m.setStringProperty("grp", "g" + (sequence % 10));
            m.setIntProperty("weight", (int) (sequence % 1000));
            m.setStringProperty("region", (sequence & 1) == 0 ? "eu-west" : "us-east");
        }
        if (settings.equalities > 0) {
            m.setIntProperty("x", (int) (sequence % settings.equalities));
        }
        return m;
    }

    private void commit() throws JMSException {
        if (branch != null) {
            branch.prepareAndCommit();
        } else {
            session.commit();
        }
    }

    private synchronized void answered(long now) {
        longest = Math.max(longest, now - (lastSend == 0 ? now : lastSend));
    }

    /** Answers the longest time between two answers to sends, the time since the last included, since it was asked before. */
    synchronized long longestWait() {
        long now = System.nanoTime();
        long wait = Math.max(longest, now - (lastSend == 0 ? now : lastSend));
        longest = 0;
        return wait;
    }

    /**
     * Sends until count messages are sent or the seconds are over (0: no limit), and answers how many it sent. In transactions
     * the latency is that of a whole one: its sends and its commit.
     */
    int send(boolean measured, int count, double seconds, Tally tally) throws JMSException {
        boolean transacted = branch != null || session.getTransacted();
        int run = measured ? Tally.RUN + 1 : Tally.RUN;
        long until = seconds > 0 ? System.nanoTime() + (long) (seconds * 1e9) : Long.MAX_VALUE;
        long begin = System.nanoTime();
        int n = 0;
        while (n < count && !tally.stop) {
            boolean whole = !transacted || n % settings.batch == 0;
            if (whole) {
                begin = System.nanoTime();
                if (begin > until) {
                    break;
                }
            }
            if (branch != null && n % settings.batch == 0) {
                branch.begin();
            }
            producer.send(message(run, n++));
            if (transacted && n % settings.batch == 0) {
                commit();
            }
            if (!transacted || n % settings.batch == 0) {
                long now = System.nanoTime();
                if (measured) {
                    latency.add(now - begin);
                    answered(now);
                }
                lastSend = now;
            }
        }
        if (transacted && n % settings.batch != 0) {
            commit();
            lastSend = System.nanoTime();
        }
        if (measured) {
            sent = n;
        }
        return n;
    }
}
