package interop;

import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.ResourceAllocationException;
import jakarta.jms.Session;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

/** Queues that are full after three messages, where a send waits for two seconds. */
final class Limits {
  private static final int FULL = 3;

  static void addTo(Suite suite) {
    suite.add("full-refuses-in-time", () -> refusesInTime(Session.AUTO_ACKNOWLEDGE));
    suite.add("full-fails-the-transaction", () -> refusesInTime(Session.SESSION_TRANSACTED));
    suite.add("consumer-of-the-connection-goes-on", Limits::consumerGoesOn);
  }

  /** The sender hears what is full, not at once and not much later than said. */
  private static void refusesInTime(int mode) throws Exception {
    try (Client client = new Client(Env.factory(""), mode)) {
      Queue queue = client.session.createQueue("full." + Env.name("late" + mode));
      MessageProducer producer = client.session.createProducer(queue);
      for (int i = 0; i < FULL; i++) {
        producer.send(client.session.createTextMessage("x"));
      }
      if (client.session.getTransacted()) {
        client.session.commit();
      }
      long start = System.nanoTime();
      try {
        producer.send(client.session.createTextMessage("one too many"));
        if (client.session.getTransacted()) {
          client.session.commit();
        }
      } catch (JMSException e) {
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
        Check.that("after " + millis + " ms, want about 2000", millis > 1500 && millis < 6000);
        Check.that("it does not say what is full: " + e, e.getMessage().contains("is full"));
        Check.that("it is a " + e.getClass(), client.session.getTransacted() || e instanceof ResourceAllocationException);
        return;
      }
      throw new AssertionError("a full queue took a message");
    }
  }

  /** While one session of the connection waits to send, another acknowledges, which makes the room. */
  private static void consumerGoesOn() throws Exception {
    try (Client client = Client.auto()) {
      Session other = client.connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
      Queue queue = client.session.createQueue("full." + Env.name("shared"));
      MessageProducer producer = client.session.createProducer(queue);
      for (int i = 0; i < FULL; i++) {
        producer.send(client.session.createTextMessage("x" + i));
      }
      FutureTask<Void> sending = new FutureTask<>(() -> {
        producer.send(client.session.createTextMessage("last"));
        return null;
      });
      new Thread(sending, "sender").start();
      MessageConsumer consumer = other.createConsumer(queue);
      for (int i = 0; i < FULL; i++) {
        Message message = Client.receive(consumer);
        Check.equal("text", Client.text(message), "x" + i);
        message.acknowledge();
      }
      sending.get(1500, TimeUnit.MILLISECONDS);
      Check.equal("text", Client.text(Client.receive(consumer)), "last");
    }
  }
}
