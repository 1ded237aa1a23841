package loadgen;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import java.util.Arrays;

/** One consumer, in a session of its own on a thread of its own, or one of many in a session. It checks what it receives. */
final class Consumer implements Runnable {
    final Tally.Seen seen;
    final Histogram latency;
    private final Connection connection; // its own, or null
    private final int id;
    private final Settings settings;
    private final Tally tally;
    private final long[] last;
    private final Session session;
    private final MessageConsumer consumer;

    Consumer(Settings settings, Tally tally, int id, Tally.Seen seen) throws JMSException {
        this.settings = settings;
        this.tally = tally;
        this.id = id;
        this.seen = seen;
        latency = new Histogram();
        last = none(settings.producers);
        connection = settings.connect();
        session = settings.session(connection, settings.transactedAcks);
        // The second condition is true of each message: it is there to be evaluated.
        String selector = settings.selectors
                ? "grp = 'g" + id % 10 + "' AND (weight BETWEEN 0 AND 2000 OR region LIKE 'eu%')" : null;
        consumer = session.createConsumer(settings.destination(session), selector);
    }

    /** One of those that share a session, whose thread calls them, and a latency. It must not be run. */
    Consumer(Settings settings, Tally tally, int id, Tally.Seen seen, Session session, String selector, Histogram latency)
            throws JMSException {
        this.settings = settings;
        this.tally = tally;
        this.id = id;
        this.seen = seen;
        this.latency = latency;
        this.session = session;
        last = none(settings.producers);
        connection = null;
        consumer = session.createConsumer(settings.destination(session), selector);
        consumer.setMessageListener(m -> {
            try {
                take((BytesMessage) m);
            } catch (JMSException | RuntimeException e) {
                tally.error("consumer " + id, e);
            }
        });
    }

    private static long[] none(int producers) {
        long[] last = new long[producers];
        Arrays.fill(last, -1);
        return last;
    }

    void close() throws JMSException {
        connection.close();
    }

    @Override
    public void run() {
        int pending = 0;
        try {
            while (!tally.stop) {
                Message m = consumer.receive(pending > 0 ? 100 : 500);
                if (m != null) {
                    take((BytesMessage) m);
                    pending++;
                }
                if (settings.transactedAcks && pending > 0 && (m == null || pending >= settings.batch)) {
                    session.commit();
                    pending = 0;
                }
            }
        } catch (JMSException | RuntimeException e) {
            if (!tally.stop) {
                tally.error("consumer " + id, e);
            }
        }
    }

    private void take(BytesMessage m) throws JMSException {
        int run = m.readInt();
        int producer = m.readInt();
        long sequence = m.readLong();
        long sentAt = m.readLong();
        long now = System.nanoTime();
        if (run == Tally.RUN) {
            tally.warmReceived.incrementAndGet();
            return;
        }
        if (run != Tally.RUN + 1 || producer < 0 || producer >= last.length
                || sequence < 0 || sequence >= settings.perProducer) {
            tally.strangers.incrementAndGet();
            return;
        }
        if (m.getJMSRedelivered()) {
            tally.redelivered.incrementAndGet();
        } else if (sequence <= last[producer]) {
            tally.orderBreaks.incrementAndGet();
        }
        last[producer] = Math.max(last[producer], sequence);
        seen.times[producer].incrementAndGet((int) sequence);
        latency.add(now - sentAt);
        tally.lastReceive = now;
        tally.received.incrementAndGet();
    }
}
