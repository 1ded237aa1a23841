package loadgen;

import jakarta.jms.BytesMessage;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import java.util.Arrays;

/** One connection, session and consumer, on a thread of its own. It checks what it receives. */
final class Consumer implements Runnable {
    final Tally.Seen seen;
    final Histogram latency = new Histogram();
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
        last = new long[settings.producers];
        Arrays.fill(last, -1);
        session = settings.session(settings.connect(), settings.transactedAcks);
        // The second condition is true of each message: it is there to be evaluated.
        String selector = settings.selectors
                ? "grp = 'g" + id % 10 + "' AND (weight BETWEEN 0 AND 2000 OR region LIKE 'eu%')" : null;
        consumer = session.createConsumer(settings.destination(session), selector);
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
