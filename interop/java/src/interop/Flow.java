package interop;

import jakarta.jms.BytesMessage;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Large and many, and how many at a time. */
final class Flow {
  private static final int MANY = 10_000;

  static void addTo(Suite suite) {
    suite.add("large", Flow::large);
    suite.add("ten-thousand", 60, Flow::tenThousand);
    suite.add("async-send-window", Flow::asyncSendWindow);
    suite.add("prefetch-0-pulls", Flow::prefetchZero);
    suite.add("prefetch-1", Flow::prefetchOne);
    suite.add("unread-window-returns", Flow::unreadWindowReturns);
  }

  static void large() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("large"));
      byte[] body = Bodies.pattern(5 << 20);
      BytesMessage bytes = client.session.createBytesMessage();
      bytes.writeBytes(body);
      String text = "x".repeat(5 << 20);
      client.send(queue, bytes, client.session.createTextMessage(text));
      MessageConsumer consumer = client.session.createConsumer(queue);
      Check.that("bytes differ", java.util.Arrays.equals(Bodies.body((BytesMessage) Client.receive(consumer)), body));
      Check.that("text differs", Client.text(Client.receive(consumer)).equals(text));
    }
  }

  /** Persistent, sent without waiting for each, received by a second connection meanwhile. */
  static void tenThousand() throws Exception {
    try (Client receiver = Client.auto(); Client sender = new Client(Env.factory("jms.useAsyncSend=true"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = receiver.session.createQueue(Env.name("many"));
      MessageConsumer consumer = receiver.session.createConsumer(queue);
      long start = System.nanoTime();
      sender.sendNumbers(queue, 0, MANY);
      for (int i = 0; i < MANY; i++) {
        Check.equal("text", Client.text(Client.receive(consumer)), Integer.toString(i));
      }
      long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
      System.out.println("note ten-thousand " + MANY * 1000L / Math.max(1, millis) + " messages/s");
    }
  }

  /** With a window the client waits for the broker's ProducerAck; a forgotten one stops it for ever. */
  static void asyncSendWindow() throws Exception {
    try (Client client = new Client(Env.factory("jms.useAsyncSend=true&jms.producerWindowSize=65536"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("window"));
      MessageProducer producer = client.session.createProducer(queue);
      for (int i = 0; i < 1000; i++) {
        BytesMessage message = client.session.createBytesMessage();
        message.writeBytes(Bodies.pattern(1000));
        message.setIntProperty("n", i);
        producer.send(message, i % 2 == 0 ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT, 4, 0);
      }
      MessageConsumer consumer = client.session.createConsumer(queue);
      int[] next = {0, 1}; // order is promised within a delivery mode
      for (int i = 0; i < 1000; i++) {
        int n = Client.receive(consumer).getIntProperty("n");
        Check.equal("n", n, next[n % 2]);
        next[n % 2] += 2;
      }
    }
  }

  static void prefetchZero() throws Exception {
    try (Client client = new Client(Env.factory("jms.prefetchPolicy.all=0"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("pull"));
      MessageConsumer consumer = client.session.createConsumer(queue);
      MessageConsumer other = client.session.createConsumer(queue);
      Check.equal("receiveNoWait of nothing", consumer.receiveNoWait(), null);
      long start = System.nanoTime();
      Check.equal("receive of nothing", consumer.receive(300), null);
      long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
      Check.that("receive(300) came back after " + millis + " ms", millis >= 290 && millis < 5000);
      client.sendNumbers(queue, 0, 4);
      Check.equal("receiveNoWait", Client.text(consumer.receiveNoWait()), "0");
      Check.equal("the other", Client.text(other.receiveNoWait()), "1");
      Check.equal("receive(timeout)", Client.text(consumer.receive(1000)), "2");
      Check.equal("receive()", Client.text(consumer.receive()), "3");
      Check.equal("receiveNoWait when empty again", consumer.receiveNoWait(), null);
    }
  }

  static void prefetchOne() throws Exception {
    try (Client slow = new Client(Env.factory("jms.prefetchPolicy.all=1"), Session.CLIENT_ACKNOWLEDGE);
        Client fast = new Client(Env.factory("jms.prefetchPolicy.all=1"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = slow.session.createQueue(Env.name("prefetch-1"));
      MessageConsumer stuck = slow.session.createConsumer(queue);
      fast.sendNumbers(queue, 0, 10);
      Message held = Client.receive(stuck);
      Check.equal("first", Client.text(held), "0");
      // the stuck consumer holds one, and one more may be on its way to it
      MessageConsumer consumer = fast.session.createConsumer(queue);
      List<String> rest = new ArrayList<>();
      for (Message message = consumer.receive(1000); message != null; message = consumer.receive(Client.NOTHING)) {
        rest.add(Client.text(message));
      }
      Check.that("the free consumer got only " + rest, rest.size() >= 8 && Deliveries.ascending(rest));
      held.acknowledge();
    }
  }

  /** A window that its consumer never reads is given back whole when it closes, unmarked, and in its old place. */
  static void unreadWindowReturns() throws Exception {
    try (Client client = Client.auto(); Client sender = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("unread"));
      MessageConsumer idle = client.session.createConsumer(queue);
      sender.sendNumbers(queue, 0, 100);
      idle.close();
      MessageConsumer consumer = client.session.createConsumer(queue);
      for (int i = 0; i < 100; i++) {
        Message got = Client.receive(consumer);
        Check.equal("text", Client.text(got), Integer.toString(i));
        Check.equal("redelivered of " + i, got.getJMSRedelivered(), false);
      }
    }
  }
}
