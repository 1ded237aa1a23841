package interop;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Clients of a pair that follow a failover, and one that does not, for tests that look at them from the broker's side. It
 * prints {@code note loaded} when all are at work and goes on until a line comes on standard input; then every message
 * that was confirmed to a client that follows must have come back to it, and no such client may have seen an exception.
 */
final class Followers {
  private static final String[] ADDRESSES = Env.URL.split(",");
  private static final int PREFETCH = 5;

  private final List<Follower> all = new ArrayList<>();
  private volatile boolean working = true;

  static void addTo(Suite suite) {
    Followers followers = new Followers();
    suite.add("work", 600, followers::work);
    suite.add("all-arrived", followers::allArrived);
    suite.add("no-exception", followers::noException);
  }

  private void work() throws Exception {
    String a = ADDRESSES[0];
    String b = ADDRESSES[1];
    String options = "?randomize=false&initialReconnectDelay=10&useExponentialBackOff=false&jms.prefetchPolicy.all=" + PREFETCH + "&jms.clientID=";
    follow("orders-1", "failover:(" + a + "," + b + ")" + options);
    follow("orders-2", "failover:(" + b + "," + a + ")" + options);
    follow("single-1", "failover:(" + a + ")" + options);
    Client legacy = new Client(Env.at(b + "?jms.clientID=legacy-1"), Session.AUTO_ACKNOWLEDGE); // no failover: it is lost at the first one
    for (Follower follower : all) {
      follower.awaitSome();
    }
    System.out.println("note loaded");
    System.in.read();
    working = false;
    for (Follower follower : all) {
      follower.thread.join(60_000);
      Check.that(follower.name + " does not end", !follower.thread.isAlive());
    }
    try {
      legacy.close();
    } catch (Exception e) {
      // it has lost its connection long ago
    }
  }

  private void follow(String name, String url) {
    Follower follower = new Follower(name, url + name);
    all.add(follower);
    follower.thread.start();
  }

  /** One client: it sends a message and takes what is there, again and again. */
  private final class Follower {
    final String name;
    final String url;
    final Thread thread;
    final Set<String> confirmed = new HashSet<>();
    final Set<String> seen = new HashSet<>();
    private volatile int rounds;
    private volatile Exception failed;

    Follower(String name, String url) {
      this.name = name;
      this.url = url;
      thread = new Thread(this::run, name);
      thread.setDaemon(true);
    }

    private void run() {
      try (Client client = new Client(Env.at(url), Session.AUTO_ACKNOWLEDGE)) {
        String queue = Env.name("followers." + name);
        MessageProducer producer = client.session.createProducer(client.session.createQueue(queue));
        MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(queue));
        for (int n = 0; working; n++) {
          String key = name + ":" + n;
          producer.send(client.session.createTextMessage(key));
          confirmed.add(key);
          take(consumer, 20);
          rounds++;
        }
        while (take(consumer, 2000)) {
        }
      } catch (Exception e) {
        failed = e;
        e.printStackTrace();
      }
    }

    private boolean take(MessageConsumer consumer, long wait) throws Exception {
      Message message = consumer.receive(wait);
      if (message != null) {
        seen.add(((jakarta.jms.TextMessage) message).getText());
      }
      return message != null;
    }

    void awaitSome() throws InterruptedException {
      while (rounds < 10 && failed == null) {
        Thread.sleep(20);
      }
    }
  }

  private void allArrived() {
    for (Follower follower : all) {
      Set<String> missing = new HashSet<>(follower.confirmed);
      missing.removeAll(follower.seen);
      Check.that(follower.name + " sent nothing", !follower.confirmed.isEmpty());
      Check.that(follower.name + " misses " + missing.size() + " of " + follower.confirmed.size() + " messages", missing.isEmpty());
    }
  }

  private void noException() {
    for (Follower follower : all) {
      Check.that(follower.name + ": " + follower.failed, follower.failed == null);
    }
  }
}
