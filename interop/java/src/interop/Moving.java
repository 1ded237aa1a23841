package interop;

import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.TransactionRolledBackException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What clients see of a pair that switches over while they work: nothing. It prints {@code note loaded} when all runs; for each line {@code gap} on standard input it
 * prints {@code note gap MILLIS}, the longest time between two confirmed sends since the line before, and at {@code stop} it ends its work and judges.
 */
final class Moving {
  private static final String OPTIONS = "jms.watchTopicAdvisories=true";
  private static final int HELD = 20;
  private static final int WAITING = 50;

  private final AtomicBoolean working = new AtomicBoolean(true);
  private final List<Thread> threads = new ArrayList<>();
  private final List<String> surfaced = new ArrayList<>();
  private final Map<String, Integer> seen = new ConcurrentHashMap<>(); // of "slow", by text
  private final Map<String, Long> longest = new ConcurrentHashMap<>(); // gap between two confirmed sends, ms, by sender
  private final AtomicLong replies = new AtomicLong();
  private final AtomicLong transactions = new AtomicLong();
  private final AtomicLong rolledBack = new AtomicLong();
  private final Set<String> undone = ConcurrentHashMap.newKeySet(); // texts of what was in those, and of what came again, flagged
  private final AtomicLong sent = new AtomicLong();
  private final Map<String, Integer> counts = new ConcurrentHashMap<>(); // the highest JMSXDeliveryCount, by who saw it
  private MessageConsumer holder;
  private Client holding;
  private final Map<String, Integer> held = new HashMap<>(); // text to JMSXDeliveryCount

  static void addTo(Suite suite) {
    Moving moving = new Moving();
    suite.add("work", 400, moving::work);
    suite.add("nothing-surfaced", () -> Check.that(moving.surfaced.size() + " exceptions: " + first(moving.surfaced), moving.surfaced.isEmpty()));
    suite.add("work-was-done", () -> Check.that("replies " + moving.replies + ", transactions " + moving.transactions + ", sends " + moving.sent,
        moving.replies.get() > 10 && moving.transactions.get() > 10 && moving.sent.get() > 100));
    suite.add("transactions-once", moving::transactionsOnce);
    suite.add("slow-ones-seen", moving::slow);
    suite.add("held-came-back-to-be-acknowledged", moving::heldOnes);
    suite.add("waiting-non-persistent", moving::waiting);
    suite.add("no-dead-letters", Moving::noDeadLetters);
  }

  private static String both(String options) {
    return "failover:(" + Env.URL + ")?" + OPTIONS + options;
  }

  /** One that knows a single address, which is of either instance. */
  private static String one(int which) {
    return "failover:(" + Env.URL.split(",")[which] + ")?" + OPTIONS;
  }

  private Client client(String url, int mode) throws JMSException {
    Client client = new Client(Env.at(url), mode);
    client.connection.setExceptionListener(e -> surface("a connection's listener", e));
    return client;
  }

  private void work() throws Exception {
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      MessageProducer producer = client.session.createProducer(null);
      for (int i = 0; i < HELD; i++) {
        producer.send(client.session.createQueue(Env.name("held")), client.session.createTextMessage("held " + i));
      }
      producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
      for (int i = 0; i < WAITING; i++) {
        producer.send(client.session.createQueue(Env.name("waiting")), client.session.createTextMessage("waiting " + i));
      }
    }
    start("sender", () -> send("both", both("")));
    start("sender with one address", () -> send("one", one(0)));
    start("sender with the other", () -> send("other", one(1)));
    start("replier", this::reply);
    start("requester", () -> ask(both("")));
    start("requester with one address", () -> ask(one(1)));
    start("feeder", this::feed);
    start("transactions", this::transact);
    start("slow", this::listenSlowly);
    holding = client(both("&jms.prefetchPolicy.all=100"), Session.CLIENT_ACKNOWLEDGE);
    holder = holding.session.createConsumer(holding.session.createQueue(Env.name("held")));
    hold();
    while (sent.get() < 100 || replies.get() < 5 || transactions.get() < 5) {
      Thread.sleep(10);
    }
    longest.clear();
    System.out.println("note loaded");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null && !line.equals("stop"); line = in.readLine()) {
      System.out.println("note gap " + longest.getOrDefault("both", 0L) + " " + longest);
      longest.clear();
      hold();
    }
    working.set(false);
    for (Thread thread : threads) {
      thread.join(40_000);
      Check.that(thread.getName() + " does not end", !thread.isAlive());
    }
    System.out.println("note sends " + sent + ", replies " + replies + ", transactions " + transactions + " and " + rolledBack + " rolled back, slow ones " + seen.size() + ", delivery counts " + counts);
  }

  private void start(String name, Suite.Scenario work) {
    Thread thread = new Thread(() -> {
      try {
        work.run();
      } catch (Exception e) {
        surface(name, e);
      }
    }, name);
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
  }

  private void surface(String who, Exception e) {
    synchronized (surfaced) {
      surfaced.add(who + (working.get() ? "" : ", at the end") + ": " + e);
    }
    e.printStackTrace();
  }

  /** Sends one message after the other, each confirmed, and takes the longest time between two confirmations. */
  private void send(String who, String url) throws JMSException, InterruptedException {
    try (Client client = client(url, Session.AUTO_ACKNOWLEDGE)) {
      MessageProducer producer = client.session.createProducer(client.session.createQueue(Env.name("sent")));
      TextMessage message = client.session.createTextMessage("x".repeat(1024));
      producer.setTimeToLive(5_000); // nobody takes them
      producer.setDeliveryMode(DeliveryMode.PERSISTENT);
      for (long last = System.nanoTime(); working.get(); ) {
        producer.send(message);
        sent.incrementAndGet();
        long now = System.nanoTime();
        longest.merge(who, TimeUnit.NANOSECONDS.toMillis(now - last), Math::max);
        last = now;
        Thread.sleep(3); // the figure is of a machine that has time
      }
    }
  }

  /** Answers by an anonymous producer, now persistent, now not. */
  private void reply() throws JMSException {
    try (Client client = client(both(""), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("requests")));
      MessageProducer producer = client.session.createProducer(null);
      for (int n = 0; working.get() || n < 0; n++) {
        Message request = consumer.receive(100);
        if (request == null) {
          continue;
        }
        Message reply = client.session.createTextMessage(((TextMessage) request).getText());
        reply.setJMSCorrelationID(request.getJMSCorrelationID());
        producer.setDeliveryMode(n % 2 == 0 ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
        producer.send(request.getJMSReplyTo(), reply);
      }
    }
  }

  private void ask(String url) throws JMSException, InterruptedException {
    try (Client client = client(url, Session.AUTO_ACKNOWLEDGE)) {
      Destination temporary = client.session.createTemporaryQueue();
      MessageConsumer consumer = client.session.createConsumer(temporary);
      MessageProducer producer = client.session.createProducer(client.session.createQueue(Env.name("requests")));
      for (int n = 0; working.get(); n++) {
        Message request = client.session.createTextMessage("request " + n);
        request.setJMSReplyTo(temporary);
        request.setJMSCorrelationID(Integer.toString(n));
        producer.send(request);
        Message reply;
        do { // one that was answered twice because its request came twice is no loss
          reply = consumer.receive(20_000);
        } while (reply != null && Integer.parseInt(reply.getJMSCorrelationID()) < n);
        if (reply == null) {
          if (!working.get()) {
            return; // the replier has ended
          }
          throw new IllegalStateException("no reply to request " + n);
        }
        Check.equal("correlation id", reply.getJMSCorrelationID(), Integer.toString(n));
        replies.incrementAndGet();
        Thread.sleep(2);
      }
    }
  }

  private void feed() throws JMSException, InterruptedException {
    try (Client client = client(both(""), Session.AUTO_ACKNOWLEDGE)) {
      MessageProducer producer = client.session.createProducer(null);
      Queue in = client.session.createQueue(Env.name("in"));
      Queue slow = client.session.createQueue(Env.name("slow"));
      for (int n = 0; working.get(); n++) {
        producer.send(in, client.session.createTextMessage("in " + n));
        if (n % 50 == 0) {
          producer.send(slow, client.session.createTextMessage("slow " + n));
        }
        Thread.sleep(5);
      }
    }
  }

  /** Moves messages from one queue to another, some in each transaction. */
  private void transact() throws JMSException {
    // Without the wait a commit between the loss of the connection and the messages' return is rolled back by the client itself.
    try (Client client = client(both("&jms.consumerFailoverRedeliveryWaitPeriod=1000"), Session.SESSION_TRANSACTED)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("in")));
      MessageProducer producer = client.session.createProducer(client.session.createQueue(Env.name("out")));
      while (working.get()) {
        List<String> texts = new ArrayList<>();
        try {
          int n = 0;
          for (Message message = consumer.receive(200); message != null; message = ++n < 5 ? consumer.receive(20) : null) {
            texts.add(((TextMessage) message).getText());
            if (message.getJMSRedelivered()) {
              undone.add(((TextMessage) message).getText()); // perhaps done before, and the application is told so
            }
            producer.send(client.session.createTextMessage(((TextMessage) message).getText()));
            note("transactions", message);
          }
          client.session.commit();
          transactions.incrementAndGet();
        } catch (JMSException e) { // the client itself decides at a move that a transaction is to be done again, and says so at the next call
          if (!(e instanceof TransactionRolledBackException) && !"transaction marked rollback only".equals(e.getMessage())) {
            throw e;
          }
          rolledBack.incrementAndGet();
          undone.addAll(texts);
          client.session.rollback();
        }
      }
    }
  }

  private void note(String who, Message message) throws JMSException {
    counts.merge(who, message.getIntProperty("JMSXDeliveryCount"), Math::max);
  }

  /** A listener that takes its time, so that each move finds it at work, with more before it. */
  private void listenSlowly() throws JMSException, InterruptedException {
    try (Client client = client(both(""), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("slow")));
      consumer.setMessageListener(message -> {
        try {
          Thread.sleep(200);
          seen.merge(((TextMessage) message).getText(), 1, Integer::sum);
          note("slow", message);
        } catch (JMSException | InterruptedException e) {
          surface("slow listener", e instanceof JMSException j ? j : new IllegalStateException(e));
        }
      });
      while (working.get()) {
        Thread.sleep(20);
      }
      Thread.sleep(1000);
    }
  }

  /** Takes what the queue of messages that are never acknowledged gives again. */
  private void hold() throws JMSException {
    for (Message message = holder.receive(2_000); message != null; message = held.size() < HELD ? holder.receive(2_000) : holder.receive(200)) {
      held.merge(((TextMessage) message).getText(), message.getIntProperty("JMSXDeliveryCount"), Math::max);
      note("held", message);
    }
  }

  private void transactionsOnce() throws Exception {
    Map<String, Integer> out = new TreeMap<>();
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      for (String queue : new String[] {"out", "in"}) { // what was not moved is still there
        MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name(queue)));
        for (Message message = consumer.receive(2_000); message != null; message = consumer.receive(500)) {
          out.merge(((TextMessage) message).getText(), 1, Integer::sum);
          if (queue.equals("in") && message.getJMSRedelivered()) {
            undone.add(((TextMessage) message).getText());
          }
        }
      }
    }
    List<String> wrong = new ArrayList<>();
    int n = 0;
    for (; out.containsKey("in " + n); n++) {
      if (out.get("in " + n) != 1 && !undone.contains("in " + n)) { // of a commit in doubt the client is told that it was rolled back; what comes again is flagged
        wrong.add("in " + n + " is there " + out.get("in " + n) + " times");
      }
    }
    Check.that("of " + out.size() + " messages, in " + n + " is missing", n == out.size());
    Check.that(first(wrong), wrong.isEmpty());
  }

  private void slow() throws Exception {
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("slow")));
      int left = 0;
      for (Message message = consumer.receive(2_000); message != null; message = consumer.receive(500)) {
        String text = ((TextMessage) message).getText();
        if (seen.merge(text, 1, Integer::sum) > 1) {
          Check.that(text + " comes again without the flag", message.getJMSRedelivered());
        }
        left++;
      }
      System.out.println("note of the slow ones " + left + " were left");
    }
    for (int n = 0; n < seen.size(); n++) {
      Check.that("slow " + 50 * n + " is missing among " + seen.size(), seen.containsKey("slow " + 50 * n));
    }
    long again = seen.values().stream().filter(times -> times > 1).count();
    System.out.println("note " + again + " of " + seen.size() + " slow ones came again");
    Check.that("delivery counts are " + counts + ", and nobody ever gave a message back", counts.values().stream().allMatch(n -> n <= 2));
  }

  private void heldOnes() throws Exception {
    hold();
    Check.equal("messages held", held.size(), HELD);
    Message last = null;
    // The last of them acknowledges all.
    holding.session.recover();
    for (int n = 0; n < HELD; n++) {
      last = holder.receive(5_000);
      Check.that("message " + n + " does not come after recover", last != null);
    }
    last.acknowledge();
    holding.close();
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      Message message = client.session.createConsumer(client.session.createQueue(Env.name("held"))).receive(1_000);
      Check.that("still there: " + message, message == null);
    }
  }

  private void waiting() throws Exception {
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("waiting")));
      for (int n = 0; n < WAITING; n++) {
        Message message = consumer.receive(5_000);
        Check.that("waiting " + n + " is lost", message != null);
        Check.equal("text", ((TextMessage) message).getText(), "waiting " + n);
        Check.that("waiting " + n + " is flagged and was never shown", !message.getJMSRedelivered());
      }
      Check.that("one more", consumer.receive(500) == null);
    }
  }

  private static void noDeadLetters() throws Exception {
    try (Client client = new Client(Env.at(both("")), Session.AUTO_ACKNOWLEDGE)) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue("ActiveMQ.DLQ"));
      List<String> dead = new ArrayList<>();
      for (Message message = consumer.receive(2_000); message != null; message = consumer.receive(500)) {
        if (!String.valueOf(message).contains(Env.name("sent"))) { // those expire
          dead.add(((TextMessage) message).getText() + " (" + message.getJMSMessageID() + ", count " + message.getIntProperty("JMSXDeliveryCount") + ", sent "
              + new java.util.Date(message.getJMSTimestamp()) + ") for " + message.getStringProperty("dlqDeliveryFailureCause"));
        }
      }
      Check.that(dead.size() + " dead letters: " + first(dead), dead.isEmpty());
    }
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
