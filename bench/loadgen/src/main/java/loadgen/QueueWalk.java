package loadgen;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;

/**
 * One connection and session that goes from queue to queue: opens a consumer, sends one persistent message, waits for the
 * answer, takes the message. The consumers stay, so that no broker removes its queues for want of use.
 */
final class QueueWalk {
    private static final long PATIENCE_MILLIS = 30_000;

    private final Settings settings;
    private final Tally tally;
    private final int id;
    private final Session session;
    private final MessageProducer producer;

    QueueWalk(Settings settings, Tally tally, int id) throws JMSException {
        this.settings = settings;
        this.tally = tally;
        this.id = id;
        Connection connection = settings.connect();
        session = settings.session(connection, false);
        producer = session.createProducer(null);
        producer.setDeliveryMode(DeliveryMode.PERSISTENT);
    }

    void run() throws JMSException {
        byte[] body = new byte[settings.sizeBytes - Integer.BYTES];
        for (int n = id; n < settings.queues; n += settings.connections) {
            Destination queue = session.createQueue(settings.destination + "." + n);
            MessageConsumer consumer = session.createConsumer(queue);
            BytesMessage sent = session.createBytesMessage();
            sent.writeInt(n);
            sent.writeBytes(body);
            producer.send(queue, sent);
            Message got = consumer.receive(PATIENCE_MILLIS);
            if (got == null) {
                throw new JMSException("nothing came from queue " + n);
            }
            if (((BytesMessage) got).readInt() != n) {
                throw new JMSException("queue " + n + " gave another's message");
            }
            tally.received.incrementAndGet();
        }
    }
}
