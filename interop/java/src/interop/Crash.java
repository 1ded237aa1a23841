package interop;

import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.ResourceAllocationException;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;

/**
 * Load through failover: connections while the test kills the broker. It prints {@code note loaded} when all runs, goes on
 * until a line comes on standard input, lets the consumers take what is there, and then judges by its own books: what was
 * confirmed to a producer, and what an application was given, in that order.
 */
final class Crash {
  private static final int BATCH = 10;
  private static final long PAUSE_MILLIS = 10;
  private static final long REPLY_MILLIS = 3_000;
  private static final long QUIET_MILLIS = 2_000;
  private static final long DRAIN_LIMIT_MILLIS = 40_000;
  private static final String URL =
      "failover:(" + Env.URL + ")?initialReconnectDelay=10&useExponentialBackOff=false&jms.redeliveryPolicy.maximumRedeliveries=-1"
          + "&jms.redeliveryPolicy.initialRedeliveryDelay=10&jms.redeliveryPolicy.redeliveryDelay=10";

  private volatile boolean sending = true;
  private volatile boolean receiving = true;
  private final AtomicLong deliveries = new AtomicLong();
  private final List<Thread> senders = new ArrayList<>();
  private final List<Thread> receivers = new ArrayList<>();
  private final List<Book> books = new ArrayList<>();
  private final List<String> unexpected = new ArrayList<>();
  private volatile long answered;
  private volatile long unanswered;
  private volatile long refused;

  /** What happened on one queue. Its lock orders the entries of several threads. */
  private static final class Book {
    final String queue;
    final int consumers;
    final Map<String, Long> confirmed = new HashMap<>(); // keys "producer:number", and when
    final Set<String> doubtful = new HashSet<>(); // the answer was an exception
    final Map<String, List<String>> batches = new HashMap<>(); // of transactions, whatever became of them
    final Set<String> seen = new HashSet<>();
    final Set<String> fresh = new HashSet<>(); // given without the flag
    /**
     * A consumer may have a message, unflagged, in its prefetch buffer while its broker is cut off and another gives the same message, flagged, to somebody
     * else; the application sees the former after the latter. So where brokers hang, only two unflagged copies are wrong.
     */
    final boolean lateCopies;
    final Set<String> dead = new HashSet<>();
    final Map<String, Long> highest = new HashMap<>();
    final List<String> unflagged = new ArrayList<>();
    final List<String> disordered = new ArrayList<>();
    long repeated;

    Book(String queue, int consumers, boolean lateCopies) {
      this.lateCopies = lateCopies;
      this.queue = queue;
      this.consumers = consumers;
    }

    synchronized void confirm(List<String> keys) {
      long now = History.now();
      keys.forEach(key -> confirmed.put(key, now));
    }

    synchronized void doubt(List<String> keys) {
      doubtful.addAll(keys);
    }

    synchronized void batch(String name, List<String> keys) {
      batches.put(name, keys);
    }

    synchronized void delivered(String key, boolean redelivered) {
      boolean unmarked = !redelivered && !fresh.add(key);
      if (!seen.add(key)) {
        repeated++;
        if (!redelivered && !lateCopies || unmarked) {
          unflagged.add(key);
          History.say("unflagged " + key + " " + History.now());
        }
        return;
      }
      String producer = key.substring(0, key.indexOf(':'));
      long number = Long.parseLong(key.substring(key.indexOf(':') + 1));
      Long before = highest.put(producer, Math.max(number, highest.getOrDefault(producer, -1L)));
      if (before != null && number < before && consumers == 1) { // with several consumers only the broker knows the order
        disordered.add(key + " after " + before);
      }
    }
  }

  private final boolean chaos; // a longer run, of more kinds of clients, each of which sends less

  private Crash(boolean chaos) {
    this.chaos = chaos;
  }

  static void addTo(Suite suite, boolean chaos) {
    Crash crash = new Crash(chaos);
    suite.add("load", chaos ? 3_600 : 180, crash::load);
    suite.add("every-confirmed-arrived", crash::everyConfirmedArrived);
    suite.add("no-unflagged-repeat", crash::noUnflaggedRepeat);
    suite.add("order-of-first-deliveries", crash::order);
    suite.add("transactions-whole", crash::transactionsWhole);
    suite.add("no-unexpected-error", crash::noUnexpectedError);
  }

  private void load() throws Exception {
    Book a = book("sync-to-auto", 1);
    producer(a, "a1", false);
    producer(a, "a2", false);
    consumer(a, false);
    Book b = book("sync-to-transacted", 2);
    producer(b, "b1", false);
    producer(b, "b2", false);
    consumer(b, true);
    consumer(b, true);
    Book c = book("transacted-to-transacted", 1);
    producer(c, "c1", true);
    producer(c, "c2", true);
    consumer(c, true);
    Book d = book("transacted-to-auto", 2);
    producer(d, "d1", true);
    consumer(d, false);
    consumer(d, false);
    if (chaos) {
      Book e = new Book("durable subscription", 1, true);
      books.add(e);
      Topic topic = new ActiveMQTopic(Env.name("crash.topic"));
      try (Client client = subscriber()) {
        client.session.createDurableSubscriber(topic, "sub");
      }
      senders.add(thread("producer e1", () -> produce(e, topic, "e1", false)));
      receivers.add(thread("durable subscriber", () -> {
        try (Client client = subscriber()) {
          take(client, client.session.createDurableSubscriber(topic, "sub"), e, false);
        }
      }));
      Book f = book("requests", 1);
      senders.add(thread("requester f1", () -> request(f, "f1")));
      receivers.add(thread("replier", () -> reply(f)));
    }
    receivers.forEach(Thread::start);
    senders.forEach(Thread::start);
    awaitDeliveries(100);
    System.out.println("note loaded");
    System.in.read();
    sending = false;
    join(senders);
    drain();
    receiving = false;
    join(receivers);
    dead();
    summary();
  }

  private Book book(String name, int consumers) {
    Book book = new Book(Env.name("crash." + name), consumers, chaos);
    books.add(book);
    return book;
  }

  private void producer(Book book, String name, boolean transacted) {
    senders.add(thread("producer " + name, () -> produce(book, new ActiveMQQueue(book.queue), name, transacted)));
  }

  private void consumer(Book book, boolean transacted) {
    receivers.add(thread("consumer of " + book.queue, () -> consume(book, transacted)));
  }

  private Thread thread(String name, Suite.Scenario work) {
    Thread thread = new Thread(() -> {
      try {
        work.run();
      } catch (Exception e) {
        note(name, e);
      }
    }, name);
    thread.setDaemon(true);
    return thread;
  }

  private void note(String who, Exception e) {
    synchronized (unexpected) {
      unexpected.add(who + ": " + e);
    }
    e.printStackTrace();
  }

  private Client subscriber() throws JMSException {
    ActiveMQConnectionFactory factory = Env.at(URL);
    factory.setClientID(Env.name("subscriber"));
    return new Client(factory, Session.AUTO_ACKNOWLEDGE);
  }

  /** A requester with a temporary queue. The send of a request is confirmed; a reply that does not come is asked for by another request. */
  private void request(Book book, String name) throws Exception {
    try (Client client = new Client(Env.at(URL), Session.AUTO_ACKNOWLEDGE)) {
      History.Link link = new History.Link(client.connection);
      MessageProducer producer = client.session.createProducer(client.session.createQueue(book.queue));
      TemporaryQueue replies = client.session.createTemporaryQueue();
      MessageConsumer consumer = client.session.createConsumer(replies);
      long since = 0; // the first request that no reply has followed
      for (long number = 0; sending; Thread.sleep(PAUSE_MILLIS)) {
        Message message = message(client, name + ":" + number++);
        message.setJMSReplyTo(replies);
        long begun = History.now();
        try {
          producer.send(message);
        } catch (ResourceAllocationException e) { // a disk is full
          Thread.sleep(10 * PAUSE_MILLIS);
          continue;
        }
        book.confirm(List.of(message.getStringProperty("key")));
        History.ack(name, begun, link);
        since = since == 0 ? System.nanoTime() : since;
        if (consumer.receive(REPLY_MILLIS) != null) {
          answered++;
          since = 0;
        } else {
          unanswered++;
        }
      }
      Check.that("no reply has come for " + millisSince(since) + " ms", since == 0 || millisSince(since) < 30_000);
    }
  }

  private void reply(Book book) throws JMSException {
    try (Client client = new Client(Env.at(URL), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(book.queue));
      MessageProducer producer = client.session.createProducer(null);
      producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
      while (receiving) {
        Message message = consumer.receive(100);
        if (message == null) {
          continue;
        }
        book.delivered(message.getStringProperty("key"), message.getJMSRedelivered());
        deliveries.incrementAndGet();
        try {
          producer.send(message.getJMSReplyTo(), client.session.createTextMessage("reply"));
        } catch (InvalidDestinationException e) { // the requester is not back yet
          refused++;
        }
      }
    }
  }

  private static Message message(Client client, String key) throws JMSException {
    Message message = client.session.createTextMessage("x".repeat(200));
    message.setStringProperty("key", key);
    message.setStringProperty("run", Env.RUN);
    return message;
  }

  private void produce(Book book, Destination to, String name, boolean transacted) throws Exception {
    try (Client client = new Client(Env.at(URL), transacted ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE)) {
      History.Link link = new History.Link(client.connection);
      MessageProducer producer = client.session.createProducer(to);
      producer.setDeliveryMode(DeliveryMode.PERSISTENT);
      for (long number = 0; sending; ) {
        List<String> keys = new ArrayList<>();
        for (int i = 0; i < (transacted ? BATCH : 1); i++) {
          keys.add(name + ":" + number++);
        }
        if (transacted) {
          book.batch(keys.get(0), keys);
        }
        if (chaos) {
          Thread.sleep(transacted ? 5 * PAUSE_MILLIS : PAUSE_MILLIS);
        }
        long begun = History.now();
        try {
          for (String key : keys) {
            producer.send(message(client, key));
          }
          if (transacted) {
            client.session.commit();
          }
          book.confirm(keys);
          History.ack(name, begun, link);
        } catch (JMSException e) { // the commit was on its way when the broker died: it may or may not have happened
          if (!transacted && !(chaos && e instanceof ResourceAllocationException)) {
            throw e;
          }
          book.doubt(keys);
          if (transacted) {
            client.session.rollback();
          } else { // a disk is full
            Thread.sleep(10 * PAUSE_MILLIS);
          }
        }
      }
    }
  }

  private void consume(Book book, boolean transacted) throws JMSException {
    try (Client client = new Client(Env.at(URL), transacted ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE)) {
      take(client, client.session.createConsumer(client.session.createQueue(book.queue)), book, transacted);
    }
  }

  private void take(Client client, MessageConsumer consumer, Book book, boolean transacted) throws JMSException {
    int open = 0;
    while (receiving || transacted && open > 0) { // what was taken is settled before the end
      Message message = consumer.receive(100);
      if (message != null) {
        book.delivered(message.getStringProperty("key"), message.getJMSRedelivered());
        deliveries.incrementAndGet();
        open++;
      }
      if (transacted && open > 0 && (open >= BATCH || message == null)) {
        open = 0;
        try {
          client.session.commit();
        } catch (JMSException e) { // in doubt: what was taken comes again, flagged, or it does not
          client.session.rollback();
        }
      }
    }
  }

  private void awaitDeliveries(long count) throws InterruptedException {
    while (deliveries.get() < count) {
      Thread.sleep(10);
    }
  }

  /** Waits until nothing has come for a while. */
  private void drain() throws InterruptedException {
    long start = System.nanoTime();
    long last = deliveries.get();
    long since = start;
    while (millisSince(since) < QUIET_MILLIS && millisSince(start) < DRAIN_LIMIT_MILLIS) {
      Thread.sleep(20);
      if (deliveries.get() != last) {
        last = deliveries.get();
        since = System.nanoTime();
      }
    }
  }

  private static long millisSince(long nanos) {
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - nanos);
  }

  private void join(List<Thread> threads) throws InterruptedException {
    for (Thread thread : threads) {
      thread.join(20_000);
      if (thread.isAlive()) {
        note(thread.getName(), new IllegalStateException("does not end"));
      }
    }
  }

  /**
   * The client refuses a message that it knows for a duplicate. Godwit keeps it for the next consumer, so it may be given again here, flagged; ActiveMQ has it in the
   * dead-letter queue, so what lies there is counted: a message that is there and was given to nobody has arrived, but in the wrong place.
   */
  private void dead() throws Exception {
    try (Client client = new Client(Env.at(URL), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue("ActiveMQ.DLQ");
      MessageConsumer consumer = client.session.createConsumer(queue, "run = '" + Env.RUN + "'");
      for (Message message = consumer.receive(1000); message != null; message = consumer.receive(Client.NOTHING)) {
        String key = message.getStringProperty("key");
        books.get(key.charAt(0) - 'a').dead.add(key);
      }
      for (Book book : books) {
        if (book.queue.contains(" ")) {
          continue; // no queue
        }
        MessageConsumer rest = client.session.createConsumer(client.session.createQueue(book.queue));
        for (Message message = rest.receive(Client.NOTHING); message != null; message = rest.receive(Client.NOTHING)) {
          String key = message.getStringProperty("key");
          Check.that(book.queue + " still holds " + key + ", which nobody was given", book.seen.contains(key));
          book.delivered(key, message.getJMSRedelivered());
        }
      }
    }
  }

  private void summary() {
    if (chaos) {
      System.out.printf("note requests answered %d, not in time %d; replies to a queue that was not there %d%n", answered, unanswered, refused);
    }
    for (Book book : books) {
      System.out.printf("note %s: confirmed %d, in doubt %d, seen %d, seen again %d, of them unflagged %d, in the dead-letter queue %d%n",
          book.queue, book.confirmed.size(), book.doubtful.size(), book.seen.size(), book.repeated, book.unflagged.size(), book.dead.size());
    }
  }

  private void everyConfirmedArrived() {
    for (Book book : books) {
      Set<String> missing = new HashSet<>(book.confirmed.keySet());
      missing.removeAll(book.seen);
      missing.forEach(key -> History.say("lost " + key + " " + book.confirmed.get(key)));
      Check.that(book.queue + " confirmed nothing", !book.confirmed.isEmpty());
      Set<String> onlyDead = new HashSet<>(missing);
      onlyDead.retainAll(book.dead);
      Check.that(book.queue + " lost " + missing.size() + " confirmed messages, " + onlyDead.size() + " of them are in the dead-letter queue: "
          + first(missing), missing.isEmpty());
    }
  }

  private void noUnflaggedRepeat() {
    for (Book book : books) {
      Check.that(book.queue + " gave " + book.unflagged.size() + " messages again without the redelivered flag: " + first(book.unflagged),
          book.unflagged.isEmpty());
    }
  }

  private void order() {
    for (Book book : books) {
      Check.that(book.queue + " gave " + book.disordered.size() + " messages out of order: " + first(book.disordered), book.disordered.isEmpty());
    }
  }

  private void transactionsWhole() {
    for (Book book : books) {
      Map<String, String> torn = new TreeMap<>();
      book.batches.forEach((name, keys) -> {
        long there = keys.stream().filter(key -> book.seen.contains(key) || book.dead.contains(key)).count();
        if (there != 0 && there != keys.size()) {
          torn.put(name, there + " of " + keys.size());
        }
      });
      Check.that(book.queue + " has torn transactions: " + first(torn.entrySet()), torn.isEmpty());
    }
  }

  private void noUnexpectedError() {
    History.flush();
    Check.that(unexpected.size() + " errors: " + first(unexpected), unexpected.isEmpty());
  }

  private static String first(Iterable<?> all) {
    StringBuilder text = new StringBuilder();
    int left = 5;
    for (Object one : all) {
      if (left-- == 0) {
        return text.append("...").toString();
      }
      text.append(one).append("; ");
    }
    return text.toString();
  }
}
